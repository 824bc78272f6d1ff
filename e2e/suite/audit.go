// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"noderestriction.plus/e2e/project"
)

// AuditPolicy writes the audit policy of docs/replay.md to a file, and returns its path.
func AuditPolicy(t testing.TB) string {
	t.Helper()
	page, err := project.ReadFile("docs", "replay.md")
	Check(t, err)
	_, rest, found := strings.Cut(string(page), "```yaml\n")
	block, _, ends := strings.Cut(rest, "```")
	if !found || !ends {
		t.Fatal("docs/replay.md has no audit policy")
	}
	path := filepath.Join(t.TempDir(), "audit.yaml")
	Check(t, os.WriteFile(path, []byte(block), 0o600))
	return path
}
