package cli

import (
	"flag"
	"path/filepath"
	"testing"

	"noderestriction.plus/internal/commandtest"
)

var update = flag.Bool("update", false, "rewrite generated pages and the files with which scripts compare output")

func TestMain(m *testing.M) { commandtest.Main(m, Commands) }

// TestScripts runs what a user could type.
func TestScripts(t *testing.T) { commandtest.Scripts(t, *update) }

// TestPagesAreCurrent compares docs/cli with the commands; -update rewrites it.
func TestPagesAreCurrent(t *testing.T) {
	commandtest.Pages(t, filepath.Join("..", "..", "docs", "cli"), Commands(), *update)
}

func TestHelpFitsATerminal(t *testing.T) { commandtest.Help(t, Commands()) }
