// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package attack

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"noderestriction.plus/internal/learn"
	"noderestriction.plus/internal/replay"
	"noderestriction.plus/policy"
)

// TestAttacksAreNotLearned learns from each attack: on one node, nothing; on several nodes, in the name of a kubelet, only from those for
// which a stock kubelet may do the like. docs/learn.md says so.
func TestAttacksAreNotLearned(t *testing.T) {
	shared := map[string][]string{
		"recommended": nil,
		"strict": {
			"inflate-capacity", "offer-gpus", "claim-images", "hold-volumes", "mirror-namespace", "mirror-priority", "mirror-privileged",
			"mirror-gated",
		},
	}
	for name, want := range shared {
		base := shipped(t, name)[0]
		set := policy.NewSet(base.Compiled)
		var got []string
		tried := 0
		for _, a := range Catalogue() {
			for nodes := range 2 {
				l, err := learn.NewLearner(base.Object, learn.Options{MinNodes: 2, Agents: []string{"kubelet"}})
				if err != nil {
					t.Fatal(err)
				}
				for i := range nodes + 1 {
					w := attacked(t, &a, set)
					if w == nil {
						continue
					}
					tried++
					w.Node = fmt.Sprint("worker-", i)
					l.Add(w)
				}
				result := l.Finish(learn.Log{}, replay.Whole)
				switch {
				case len(result.Learned) > 0 && nodes == 0:
					t.Errorf("%s: %s: one node teaches %v", name, a.ID, result.Learned)
				case len(result.Learned) > 0:
					got = append(got, a.ID)
				}
			}
		}
		if tried < len(Catalogue()) {
			t.Errorf("%s: only %d attacks were tried", name, tried)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: several nodes teach %q, want %q", name, got, want)
		}
	}
}

// attacked returns an attack as a write that violates policies, and nil if it does not.
func attacked(t *testing.T, a *Attack, set *policy.Set) *learn.Write {
	t.Helper()
	s := model(modelNode, a.ID == "uncordon-own-node")
	w, _ := a.write(s)
	if w == nil {
		return nil
	}
	facts, err := s.facts()
	if err != nil {
		t.Fatal(err)
	}
	r, err := w.request(s, facts)
	if err != nil {
		t.Fatal(err)
	}
	out := &learn.Write{Time: time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC), UserAgent: "kubelet/v1.37.2"}
	for i, v := range set.Evaluate(r).Violations {
		if i == 0 || v.Rule != out.Violations[len(out.Violations)-1].Rule {
			out.Violations = append(out.Violations, learn.Violation{Rule: v.Rule, Detail: v.Detail, Request: r})
		}
	}
	if len(out.Violations) == 0 {
		return nil
	}
	return out
}
