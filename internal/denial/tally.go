// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package denial

import (
	"cmp"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/record"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
)

// maxRecent is how many recent denials a status shows, as in its schema.
const maxRecent = 10

// The bounds of what a recent denial says, as in its schema. One that a forged review exceeds would make the API server
// refuse the whole status.
const (
	maxNode     = 256
	maxRule     = 64
	maxResource = 64
	maxObject   = 512
)

// tally is what one replica adds to the denials of a policy. Its parts are immutable.
type tally struct {
	total  int64
	last   metav1.Time
	recent []v1alpha1.RecentDenial // newest first, at most maxRecent
}

// tallyOf is the tally of one denial.
func tallyOf(rec *record.Record, rule policy.RuleID) tally {
	at := metav1.NewTime(time.Time(rec.Time).Truncate(time.Second)) // an API server keeps seconds
	resource, object := rec.Resource, rec.Name
	if rec.Subresource != "" {
		resource += "/" + rec.Subresource
	}
	if rec.Namespace != "" && rec.Name != "" {
		object = rec.Namespace + "/" + rec.Name
	}
	return tally{total: 1, last: at, recent: []v1alpha1.RecentDenial{{
		Time: at, Node: shown(rec.Node, maxNode), Rule: shown(string(rule), maxRule),
		Resource: shown(resource, maxResource), Object: text.Bound(object, maxObject), Count: 1,
	}}}
}

// shown returns a value that the schema requires and bounds.
func shown(value string, limit int) string {
	if value == "" {
		return "?"
	}
	return text.Bound(value, limit)
}

func (t tally) plus(other tally) tally {
	return tally{
		total:  t.total + other.total,
		last:   later(t.last, other.last),
		recent: mergeRecent(t.recent, other.recent),
	}
}

// addedTo is the denials with the tally added to them.
func (t tally) addedTo(stored *v1alpha1.Denials) *v1alpha1.Denials {
	sum := t
	if stored != nil {
		sum = t.plus(tally{total: stored.Total, recent: stored.Recent})
		if stored.LastTime != nil {
			sum.last = later(sum.last, *stored.LastTime)
		}
	}
	return &v1alpha1.Denials{Total: sum.total, LastTime: &sum.last, Recent: sum.recent}
}

// mergeRecent merges two lists: equal denials into one entry with the later time, the newest first, no more than fit.
// Entries of one time are in a fixed order, so that replicas do not fight over it.
func mergeRecent(a, b []v1alpha1.RecentDenial) []v1alpha1.RecentDenial {
	var merged []v1alpha1.RecentDenial
	for _, d := range slices.Concat(a, b) {
		i := slices.IndexFunc(merged, func(m v1alpha1.RecentDenial) bool { return equalDenials(m, d) })
		if i < 0 {
			merged = append(merged, d)
			continue
		}
		merged[i].Time = later(merged[i].Time, d.Time)
		merged[i].Count += d.Count
	}
	slices.SortFunc(merged, func(a, b v1alpha1.RecentDenial) int {
		return cmp.Or(b.Time.Compare(a.Time.Time), cmp.Compare(a.Node, b.Node), cmp.Compare(a.Rule, b.Rule),
			cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Object, b.Object))
	})
	return merged[:min(len(merged), maxRecent)]
}

func equalDenials(a, b v1alpha1.RecentDenial) bool {
	return a.Node == b.Node && a.Rule == b.Rule && a.Resource == b.Resource && a.Object == b.Object
}

func later(a, b metav1.Time) metav1.Time {
	if a.Time.Before(b.Time) {
		return b
	}
	return a
}
