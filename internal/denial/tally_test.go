// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package denial

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
)

// at is a time so many seconds after a fixed one.
func at(seconds int) metav1.Time {
	return metav1.NewTime(time.Date(2026, 11, 24, 8, 0, seconds, 0, time.UTC))
}

func recent(node string, seconds int, count int64) v1alpha1.RecentViolation {
	return v1alpha1.RecentViolation{
		Time: at(seconds), Node: node, Rule: "node-labels", Resource: "nodes/status", Object: node, Count: count,
	}
}

func TestAddedTo(t *testing.T) {
	second := at(2)
	tests := map[string]struct {
		stored *v1alpha1.ViolationCount
		tally  tally
		total  int64
		last   metav1.Time
		recent []v1alpha1.RecentViolation
	}{
		"nothing is stored yet": {
			tally: tally{total: 3, last: at(1), recent: []v1alpha1.RecentViolation{recent("a", 1, 3)}},
			total: 3, last: at(1), recent: []v1alpha1.RecentViolation{recent("a", 1, 3)},
		},
		"what another replica stored is kept": {
			stored: &v1alpha1.ViolationCount{Total: 40, LastTime: &second, Recent: []v1alpha1.RecentViolation{recent("b", 2, 1)}},
			tally:  tally{total: 3, last: at(1), recent: []v1alpha1.RecentViolation{recent("a", 1, 3)}},
			total:  43, last: at(2), recent: []v1alpha1.RecentViolation{recent("b", 2, 1), recent("a", 1, 3)},
		},
		"equal writes are merged and take the later time": {
			stored: &v1alpha1.ViolationCount{Total: 5, LastTime: &second, Recent: []v1alpha1.RecentViolation{
				recent("b", 2, 1), recent("a", 1, 4),
			}},
			tally: tally{total: 2, last: at(3), recent: []v1alpha1.RecentViolation{recent("a", 3, 2)}},
			total: 7, last: at(3), recent: []v1alpha1.RecentViolation{recent("a", 3, 6), recent("b", 2, 1)},
		},
		"a total without times is kept": {
			stored: &v1alpha1.ViolationCount{Total: 5},
			tally:  tally{total: 1, last: at(1), recent: []v1alpha1.RecentViolation{recent("a", 1, 1)}},
			total:  6, last: at(1), recent: []v1alpha1.RecentViolation{recent("a", 1, 1)},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			before := test.stored.DeepCopy()
			got := test.tally.addedTo(test.stored)
			if got.Total != test.total || !got.LastTime.Equal(&test.last) || !slices.Equal(got.Recent, test.recent) {
				t.Errorf("got %+v", got)
			}
			if fmt.Sprint(before) != fmt.Sprint(test.stored) {
				t.Error("what is stored was changed in place")
			}
		})
	}
}

func TestTalliesAddedTo(t *testing.T) {
	second := at(2)
	stored := &v1alpha1.Violations{
		LastTime: &second, Denied: &v1alpha1.ViolationCount{Total: 4, LastTime: &second},
		Audited: &v1alpha1.ViolationCount{Total: 7},
	}
	before := stored.DeepCopy()
	got := tallies{v1alpha1.Audit: {total: 2, last: at(3)}, v1alpha1.Warn: {total: 1, last: at(1)}}.addedTo(stored)
	third := at(3)
	if got.Denied.Total != 4 || got.Warned.Total != 1 || got.Audited.Total != 9 || !got.LastTime.Equal(&third) {
		t.Errorf("got %+v", got)
	}
	if !reflect.DeepEqual(before, stored) {
		t.Error("what is stored was changed in place")
	}
	if got := (tallies{v1alpha1.Deny: {total: 1, last: at(1)}}).addedTo(nil); got.Warned != nil || got.Audited != nil {
		t.Errorf("what did not happen is %+v", got)
	}
}

// TestInvariantLOfStatus: whatever is recorded, the totals of a policy are its records, by its action in them.
func TestInvariantLOfStatus(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		actions := map[string]v1alpha1.ValidationAction{"a": v1alpha1.Deny, "b": v1alpha1.Warn, "c": v1alpha1.Audit, "d": v1alpha1.Audit}
		s := newStatus(nil, logr.Discard())
		want := map[string]int64{}
		for range rapid.IntRange(0, 30).Draw(t, "records") {
			names := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "a", "b", "c", "d"}), 1, 5).Draw(t, "policies")
			slices.Sort(names)
			rec := denied("worker-1")
			rec.Decision.Violations = nil
			for _, name := range names {
				rec.Decision.Violations = append(rec.Decision.Violations,
					policy.PolicyViolation{Policy: name, Rule: "node-labels", Action: actions[name]})
			}
			rec.Msg = rec.Decision.Outcome()
			rec.DryRun, rec.Late = rapid.Bool().Draw(t, "dry run"), rapid.Bool().Draw(t, "late")
			s.Observe(&rec)
			for _, name := range slices.Compact(names) {
				if !rec.DryRun && !rec.Late {
					want[name]++
				}
			}
		}
		for name, action := range actions {
			for _, other := range []v1alpha1.ValidationAction{v1alpha1.Deny, v1alpha1.Warn, v1alpha1.Audit} {
				counted := s.tallies[name][other].total
				if other == action && counted != want[name] || other != action && counted != 0 {
					t.Errorf("policy %s counts %d with %s, want %d with %s", name, counted, other, want[name], action)
				}
			}
		}
	})
}

func TestMergeRecentKeepsTheNewestTen(t *testing.T) {
	var a, b []v1alpha1.RecentViolation
	for i := range 10 {
		a = append(a, recent(fmt.Sprint("a", i), 20-2*i, 1))
		b = append(b, recent(fmt.Sprint("b", i), 19-2*i, 1))
	}
	got := mergeRecent(a, b)
	if len(got) != 10 {
		t.Fatalf("got %d, want 10", len(got))
	}
	for i, d := range got {
		if want := at(20 - i); !d.Time.Equal(&want) {
			t.Errorf("entry %d: got %v, want %v", i, d.Time, want)
		}
	}
}

func TestMergeRecentDoesNotDependOnTheOrder(t *testing.T) {
	a := []v1alpha1.RecentViolation{recent("a", 1, 1), recent("b", 1, 2)}
	b := []v1alpha1.RecentViolation{recent("c", 1, 3), recent("b", 1, 4)}
	if ab, ba := mergeRecent(a, b), mergeRecent(b, a); !slices.Equal(ab, ba) {
		t.Errorf("got %v and %v", ab, ba)
	}
}

func TestTallyOf(t *testing.T) {
	rec := denied("worker-1")
	rec.Resource, rec.Subresource, rec.Namespace, rec.Name = "pods", "status", "default", "web-0"
	got := tallyOf(&rec, "pod-metadata").recent[0]
	if got.Node != "worker-1" || got.Rule != "pod-metadata" || got.Resource != "pods/status" ||
		got.Object != "default/web-0" || got.Count != 1 {
		t.Errorf("got %+v", got)
	}
	rec.Subresource, rec.Name = "", ""
	if got := tallyOf(&rec, "pod-metadata").recent[0]; got.Resource != "pods" || got.Object != "" {
		t.Errorf("without a name: got %+v", got)
	}
}
