// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"noderestriction.plus/e2e/project"
)

// AuditPolicy writes the audit policy of docs/replay.md to a file, and returns its path.
func AuditPolicy(t testing.TB) string {
	t.Helper()
	return AuditPolicyOf(t, "replay.md")
}

// AuditPolicyOf writes the audit policy of a page in docs to a file, and returns its path.
func AuditPolicyOf(t testing.TB, page string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.yaml")
	Check(t, writeAuditPolicy(path, page))
	return path
}

// WriteAuditPolicy writes the audit policy of docs/replay.md to a file.
func WriteAuditPolicy(path string) error { return writeAuditPolicy(path, "replay.md") }

func writeAuditPolicy(path, name string) error {
	page, err := project.ReadFile("docs", name)
	if err != nil {
		return err
	}
	_, rest, found := strings.Cut(string(page), "```yaml\n")
	block, _, ends := strings.Cut(rest, "```")
	if !found || !ends {
		return fmt.Errorf("docs/%s has no audit policy", name)
	}
	return os.WriteFile(path, []byte(block), 0o600)
}
