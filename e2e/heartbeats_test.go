// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"noderestriction.plus/e2e/kubelet"
)

// testHeartbeats shows that a heartbeat is not sent to us: while a kubelet writes its Node's status again and again,
// and nothing but times changes in it, we are not asked once.
func (s *suite) testHeartbeats(t *testing.T) {
	const node, interval, beats = "idler", 500 * time.Millisecond, 20
	config, err := s.stock.Kubelet(node)
	check(t, err)
	k, err := kubelet.Start(t.Context(), kubelet.Options{
		Dir: filepath.Join(s.dir, node), Node: node, Config: config, Log: t.Output(), Heartbeat: interval,
	})
	check(t, err)
	t.Cleanup(k.Stop)
	check(t, k.AddStaticPod("proxy", staticPod("kube-system", "proxy")))
	s.awaitPod(t, "kube-system", "proxy-"+node, running)
	// What else a new kubelet and its pod have to say comes first, and the counts begin anew after it.
	asked, sent := -1.0, 0
	await(t, func() error {
		if now := s.evaluations(t); now != asked {
			asked, sent = now, s.statusWrites(t, node)
		}
		if s.statusWrites(t, node)-sent < beats {
			return errors.New("we are still asked, or there are no heartbeats")
		}
		return nil
	})
	t.Logf("%d heartbeats, of %d writes of the status; we were asked %g times, before them", beats,
		s.statusWrites(t, node), asked)
}

// statusWrites is how many writes of the status of a Node by its kubelet an API server has answered.
func (s *suite) statusWrites(t *testing.T, node string) int {
	t.Helper()
	log, err := os.ReadFile(s.stock.AuditLog)
	check(t, err)
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
