// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"noderestriction.plus/e2e/project"
)

// AuditPolicy writes the audit policy of docs/replay.md to a file, and returns its path.
func AuditPolicy(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.yaml")
	Check(t, WriteAuditPolicy(path))
	return path
}

// WriteAuditPolicy writes the audit policy of docs/replay.md to a file.
func WriteAuditPolicy(path string) error {
	page, err := project.ReadFile("docs", "replay.md")
	if err != nil {
		return err
	}
	_, rest, found := strings.Cut(string(page), "```yaml\n")
	block, _, ends := strings.Cut(rest, "```")
	if !found || !ends {
		return errors.New("docs/replay.md has no audit policy")
	}
	return os.WriteFile(path, []byte(block), 0o600)
}
