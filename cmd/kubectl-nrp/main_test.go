// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"testing"

	"github.com/spf13/cobra"

	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/commandtest"
)

var update = flag.Bool("update", false, "rewrite generated pages and the files with which scripts compare output")

func asPlugin() *cobra.Command { return root(command.ByKubectl) }

func TestMain(m *testing.M) { commandtest.MainFunc(m, asPlugin().Name(), main) }

// TestScripts runs what a user could type.
func TestScripts(t *testing.T) { commandtest.Scripts(t, *update) }

// TestPagesAreCurrent compares docs/cli with the commands; -update rewrites it.
func TestPagesAreCurrent(t *testing.T) { commandtest.Pages(t, asPlugin(), *update) }

func TestHelpFitsATerminal(t *testing.T) { commandtest.Help(t, asPlugin()) }
