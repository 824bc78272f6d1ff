// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"testing"
	"time"

	"noderestriction.plus/e2e/kubelet"
	"noderestriction.plus/e2e/suite"
)

// testHeartbeats shows that the webhook is not called for heartbeats: writes of a Node's status in which only times change.
func (s *environment) testHeartbeats(t *testing.T) {
	const node, interval, beats = "idler", 500 * time.Millisecond, 20
	k := s.MustStartKubelet(t, kubelet.Options{Node: node, Heartbeat: interval})
	suite.Check(t, k.AddStaticPod("proxy", staticPod("kube-system", "proxy")))
	s.AwaitPod(t, stepTimeout, "kube-system", "proxy-"+node, suite.Running)
	// The other writes of a new kubelet and its pod come first: a call resets the counts.
	called, sent := -1.0, 0
	suite.Eventually(t, stepTimeout, func() error {
		if now := s.evaluations(t); now != called {
			called, sent = now, s.statusWrites(t, node)
		}
		if s.statusWrites(t, node)-sent < beats {
			return errors.New("the webhook is still called, or there are no heartbeats")
		}
		return nil
	})
	t.Logf("%d heartbeats of %d writes of the status; before them, %g calls", beats, s.statusWrites(t, node), called)
}

// statusWrites returns how many status writes of a kubelet an API server has answered.
func (s *environment) statusWrites(t *testing.T, node string) int {
	t.Helper()
	log, err := os.ReadFile(s.ControlPlane.AuditLog)
	suite.Check(t, err)
	n := 0
	for line := range bytes.Lines(log) {
		var event struct {
			User           struct{ Username string }
			ObjectRef      struct{ Resource, Subresource string }
			ResponseStatus struct{ Code int }
		}
		if json.Unmarshal(line, &event) != nil {
			continue // the last line may be half written
		}
		if event.User.Username == "system:node:"+node && event.ObjectRef.Resource == "nodes" &&
			event.ObjectRef.Subresource == "status" && event.ResponseStatus.Code == 200 {
			n++
		}
	}
	return n
}
