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

// TestFixturesReachTheProgram says for each fixture which webhook would be called: exactly one for each that is denied, since a
// denial has one record, and at most one for the others.
func TestFixturesReachTheProgram(t *testing.T) {
	c := newCaller(t, append(everything(), "--set", "webhook.url=https://127.0.0.1:9443")...)
	paths, err := filepath.Glob("../policy/rules/testdata/*/*/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatal("there are no fixtures", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimPrefix(path, "../policy/rules/testdata/"), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			f, err := fixture.Parse(data)
			if err != nil {
				t.Fatal(err)
			}
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
