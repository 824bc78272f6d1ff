// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"noderestriction.plus/internal/fixture"
)

// readFixtures returns the fixtures whose paths match a pattern, by path. There must be one.
func readFixtures(t *testing.T, pattern string) map[string]*fixture.Fixture {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("there are no fixtures %s: %v", pattern, err)
	}
	fixtures := map[string]*fixture.Fixture{}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if fixtures[path], err = fixture.Parse(data); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	return fixtures
}

// TestFixturesReachTheProgram says for each fixture which webhook would be called: exactly one for each that is denied, since a
// denial has one record, and at most one for the others.
func TestFixturesReachTheProgram(t *testing.T) {
	c := newCaller(t, append(everything(), "--set", "webhook.url=https://127.0.0.1:9443")...)
	for path, f := range readFixtures(t, "../policy/rules/testdata/*/*/*.txtar") {
		t.Run(strings.TrimPrefix(path, "../policy/rules/testdata/"), func(t *testing.T) {
			if !f.Request.Subject.IsKubelet() {
				return // by a node agent, whose writes another webhook is sent
			}
			if f.Request.Resource != "nodes" && f.Request.Resource != "pods" {
				return // has no match condition but that it is a kubelet who writes
			}
			called, failed := c.calls("system:node:"+f.Request.NodeName, f.Request)
			if len(failed) > 0 {
				t.Errorf("the conditions of %v end in an error", failed)
			}
			if len(called) > 1 {
				t.Errorf("several webhooks are called: %v", called)
			}
			// The API server drops a field that it does not know before anybody is asked.
			unknown := strings.Contains(path, "-unknown-fields/")
			if f.Want != fixture.Allowed && len(called) == 0 && !unknown {
				t.Error("no webhook is called, though the write is to be denied")
			}
		})
	}
}
