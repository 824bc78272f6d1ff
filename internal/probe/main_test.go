package probe

import (
	"flag"
	"path/filepath"
	"testing"

	"github.com/spf13/cobra"

	"noderestriction.plus/internal/commandtest"
)

var update = flag.Bool("update", false, "rewrite generated pages and the files with which scripts compare output")

func commands() []*cobra.Command { return []*cobra.Command{Command()} }

func TestMain(m *testing.M) { commandtest.Main(m, commands) }

// TestScripts runs what a user could type.
func TestScripts(t *testing.T) { commandtest.Scripts(t, *update) }

// TestPagesAreCurrent compares docs/cli/probe.md with the command; -update rewrites it.
func TestPagesAreCurrent(t *testing.T) {
	commandtest.Pages(t, filepath.Join("..", "..", "docs", "cli"), commands(), *update)
}

func TestHelpFitsATerminal(t *testing.T) { commandtest.Help(t, commands()) }
