// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"noderestriction.plus/e2e/project"
)

// ReplacePart replaces the part of docs/performance.md that the named command writes, between two lines that name the command.
func ReplacePart(command, text string) error {
	root, err := project.Root()
	if err != nil {
		return err
	}
	path := filepath.Join(root, "docs", "performance.md")
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	begin := fmt.Sprintf("<!-- begin: written by %s -->\n", command)
	end := fmt.Sprintf("<!-- end: written by %s -->\n", command)
	before, rest, begun := strings.Cut(string(page), begin)
	_, after, ended := strings.Cut(rest, end)
	if !begun || !ended {
		return fmt.Errorf("%s has no part between %q and %q", path, begin, end)
	}
	return os.WriteFile(path, []byte(before+begin+"\n"+text+"\n"+end+after), 0o644)
}
