// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package command_test

import (
	"flag"
	"testing"

	"github.com/spf13/cobra"

	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/commandtest"
)

var update = flag.Bool("update", false, "rewrite generated pages and the files with which scripts compare output")

func root() *cobra.Command { return command.Server(command.Version(nil)) }

func TestMain(m *testing.M) { commandtest.Main(m, root) }

// TestScripts runs what a user could type.
func TestScripts(t *testing.T) { commandtest.Scripts(t, *update) }

// TestPagesAreCurrent compares the page of version with the command; -update rewrites it.
func TestPagesAreCurrent(t *testing.T) { commandtest.Pages(t, root(), *update) }

func TestHelpFitsATerminal(t *testing.T) { commandtest.Help(t, root()) }
