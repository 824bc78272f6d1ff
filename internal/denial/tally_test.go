// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package denial

import (
	"fmt"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/api/v1alpha1"
)

// at is a time so many seconds after a fixed one.
func at(seconds int) metav1.Time {
	return metav1.NewTime(time.Date(2026, 11, 24, 8, 0, seconds, 0, time.UTC))
}

func recent(node string, seconds int, count int64) v1alpha1.RecentDenial {
	return v1alpha1.RecentDenial{
		Time: at(seconds), Node: node, Rule: "node-labels", Resource: "nodes/status", Object: node, Count: count,
	}
}

func TestAddedTo(t *testing.T) {
	second := at(2)
	tests := map[string]struct {
		stored *v1alpha1.Denials
		tally  tally
		total  int64
		last   metav1.Time
		recent []v1alpha1.RecentDenial
	}{
		"nothing is stored yet": {
			tally: tally{total: 3, last: at(1), recent: []v1alpha1.RecentDenial{recent("a", 1, 3)}},
			total: 3, last: at(1), recent: []v1alpha1.RecentDenial{recent("a", 1, 3)},
		},
		"what another replica stored is kept": {
			stored: &v1alpha1.Denials{Total: 40, LastTime: &second, Recent: []v1alpha1.RecentDenial{recent("b", 2, 1)}},
			tally:  tally{total: 3, last: at(1), recent: []v1alpha1.RecentDenial{recent("a", 1, 3)}},
			total:  43, last: at(2), recent: []v1alpha1.RecentDenial{recent("b", 2, 1), recent("a", 1, 3)},
		},
		"equal denials are merged and take the later time": {
			stored: &v1alpha1.Denials{Total: 5, LastTime: &second, Recent: []v1alpha1.RecentDenial{
				recent("b", 2, 1), recent("a", 1, 4),
			}},
			tally: tally{total: 2, last: at(3), recent: []v1alpha1.RecentDenial{recent("a", 3, 2)}},
			total: 7, last: at(3), recent: []v1alpha1.RecentDenial{recent("a", 3, 6), recent("b", 2, 1)},
		},
		"a total without times is kept": {
			stored: &v1alpha1.Denials{Total: 5},
			tally:  tally{total: 1, last: at(1), recent: []v1alpha1.RecentDenial{recent("a", 1, 1)}},
			total:  6, last: at(1), recent: []v1alpha1.RecentDenial{recent("a", 1, 1)},
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

func TestMergeRecentKeepsTheNewestTen(t *testing.T) {
	var a, b []v1alpha1.RecentDenial
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
	a := []v1alpha1.RecentDenial{recent("a", 1, 1), recent("b", 1, 2)}
	b := []v1alpha1.RecentDenial{recent("c", 1, 3), recent("b", 1, 4)}
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
