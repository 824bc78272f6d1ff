// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package denial

import (
	"cmp"
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/record"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
)

// maxRecent is how many recent violations a status shows, as in its schema.
const maxRecent = 10

// The bounds of what a recent violation says, as in its schema. One that a forged review exceeds would make the API server
// refuse the whole status.
const (
	maxNode     = 256
	maxAccount  = 256
	maxRule     = 64
	maxResource = 64
	maxObject   = 512
)

// tally is what one replica adds to the writes that violated a policy. Its parts are immutable.
type tally struct {
	total  int64
	last   metav1.Time
	recent []v1alpha1.RecentViolation // newest first, at most maxRecent
}

// tallyOf is the tally of one write.
func tallyOf(rec *record.Record, rule policy.RuleID) tally {
	at := metav1.NewTime(time.Time(rec.Time).Truncate(time.Second)) // an API server keeps seconds
	resource, object := rec.Resource, rec.Name
	if rec.Subresource != "" {
		resource += "/" + rec.Subresource
	}
	if rec.Namespace != "" && rec.Name != "" {
		object = rec.Namespace + "/" + rec.Name
	}
	return tally{total: 1, last: at, recent: []v1alpha1.RecentViolation{{
		Time: at, Node: shown(rec.Node, maxNode), Account: text.Bound(rec.Account, maxAccount), Rule: shown(string(rule), maxRule),
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

// addedTo is the count with the tally added to it.
func (t tally) addedTo(stored *v1alpha1.ViolationCount) *v1alpha1.ViolationCount {
	if t.total == 0 {
		return stored
	}
	sum := t
	if stored != nil {
		sum = t.plus(tally{total: stored.Total, recent: stored.Recent})
		if stored.LastTime != nil {
			sum.last = later(sum.last, *stored.LastTime)
		}
	}
	return &v1alpha1.ViolationCount{Total: sum.total, LastTime: &sum.last, Recent: sum.recent}
}

// tallies are the tallies of a policy, by what the policy made of the writes. They are immutable.
type tallies map[v1alpha1.ValidationAction]tally

func (ts tallies) plus(other tallies) tallies {
	sum := maps.Clone(ts)
	if sum == nil {
		sum = tallies{}
	}
	for action, t := range other {
		sum[action] = sum[action].plus(t)
	}
	return sum
}

// numbers are the tallies without the recent violations.
func (ts tallies) numbers() tallies {
	numbers := tallies{}
	for action, t := range ts {
		t.recent = nil
		numbers[action] = t
	}
	return numbers
}

// addedTo is the violations with the tallies added to them.
func (ts tallies) addedTo(stored *v1alpha1.Violations) *v1alpha1.Violations {
	sum := v1alpha1.Violations{}
	if stored != nil {
		sum = *stored
	}
	sum.Denied = ts[v1alpha1.Deny].addedTo(sum.Denied)
	sum.Warned = ts[v1alpha1.Warn].addedTo(sum.Warned)
	sum.Audited = ts[v1alpha1.Audit].addedTo(sum.Audited)
	for _, count := range []*v1alpha1.ViolationCount{sum.Denied, sum.Warned, sum.Audited} {
		if count != nil && count.LastTime != nil && (sum.LastTime == nil || sum.LastTime.Before(count.LastTime)) {
			sum.LastTime = count.LastTime
		}
	}
	return &sum
}

// mergeRecent merges two lists: equal writes into one entry with the later time, the newest first, no more than fit.
// Entries of one time are in a fixed order, so that replicas do not fight over it.
func mergeRecent(a, b []v1alpha1.RecentViolation) []v1alpha1.RecentViolation {
	var merged []v1alpha1.RecentViolation
	for _, d := range slices.Concat(a, b) {
		i := slices.IndexFunc(merged, func(m v1alpha1.RecentViolation) bool { return equalWrites(m, d) })
		if i < 0 {
			merged = append(merged, d)
			continue
		}
		merged[i].Time = later(merged[i].Time, d.Time)
		merged[i].Count += d.Count
	}
	slices.SortFunc(merged, func(a, b v1alpha1.RecentViolation) int {
		return cmp.Or(b.Time.Compare(a.Time.Time), cmp.Compare(a.Node, b.Node), cmp.Compare(a.Account, b.Account), cmp.Compare(a.Rule, b.Rule),
			cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Object, b.Object))
	})
	return merged[:min(len(merged), maxRecent)]
}

func equalWrites(a, b v1alpha1.RecentViolation) bool {
	return a.Node == b.Node && a.Account == b.Account && a.Rule == b.Rule && a.Resource == b.Resource && a.Object == b.Object
}

func later(a, b metav1.Time) metav1.Time {
	if a.Time.Before(b.Time) {
		return b
	}
	return a
}
