// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package learn

import (
	"testing"

	"github.com/spf13/cobra"

	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/commandtest"
)

func root() *cobra.Command { return command.Plugin(command.ByKubectl, Command()) }

func TestMain(m *testing.M) { commandtest.Main(m, root) }

// TestScripts runs what a user could type.
func TestScripts(t *testing.T) { commandtest.Scripts(t, *update) }

func TestHelpFitsATerminal(t *testing.T) { commandtest.Help(t, root()) }
