// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package promote

import (
	"flag"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/commandtest"
)

var update = flag.Bool("update", false, "rewrite the files with which scripts compare output")

// testNow is when the tests run.
func testNow() time.Time { return time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC) }

func root() *cobra.Command { return command.Plugin(command.ByKubectl, newCommand(testNow)) }

func TestMain(m *testing.M) { commandtest.Main(m, root) }

// TestScripts runs what a user could type.
func TestScripts(t *testing.T) { commandtest.Scripts(t, *update) }

func TestHelpFitsATerminal(t *testing.T) { commandtest.Help(t, root()) }
