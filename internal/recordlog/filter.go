// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package recordlog

import (
	"slices"
	"strings"
	"time"

	"noderestriction.plus/internal/record"
	"noderestriction.plus/policy"
)

// Filter selects records. A field that is nil or zero matches all.
type Filter struct {
	// Policy and Rule must match in one violation.
	Policy, Rule func(string) bool
	Node         func(string) bool
	Namespace    func(string) bool
	Resource     func(string) bool // matches nodes/status and the like
	Outcomes     []policy.Outcome  // empty: all but record.Probed
	Since        time.Time         // inclusive
	Until        time.Time         // exclusive
}

// Match is whether a record is selected.
type Match int

const (
	// No is certain.
	No Match = iota
	// Maybe is for a brief or compact record without the values that the filter needs.
	Maybe
	// Yes is certain.
	Yes
)

// Match returns whether a record is selected, and which of its violations are.
func (f *Filter) Match(e *Entry) (Match, []record.Violation) {
	if !f.matchTime(time.Time(e.Time)) || !f.matchOutcome(e.Msg) {
		return No, nil
	}
	unknown := (e.Compact || e.Brief) && e.Like == 0
	result := Yes
	for _, is := range []Match{
		matchValue(f.Node, e.Node, unknown && cut(e.Node)),
		matchValue(f.Resource, e.Target(), unknown && (e.Compact || cut(e.Resource) || cut(e.Subresource))),
		matchValue(f.Namespace, e.Namespace, e.Compact && e.Namespace == Unknown || e.Brief && cut(e.Namespace)),
	} {
		result = min(result, is)
	}
	violations := e.Violations
	if f.Policy != nil || f.Rule != nil {
		var is Match
		is, violations = f.matchViolations(e)
		result = min(result, is)
	}
	if result != Yes {
		return result, nil
	}
	return Yes, violations
}

// cut reports whether a value was cut.
func cut(value string) bool { return strings.HasSuffix(value, "...") }

func matchValue(match func(string) bool, value string, unknown bool) Match {
	switch {
	case match == nil:
		return Yes
	case unknown:
		return Maybe
	case match(value):
		return Yes
	}
	return No
}

// matchViolations returns the violations that are selected.
func (f *Filter) matchViolations(e *Entry) (Match, []record.Violation) {
	if e.Compact && e.Like == 0 {
		return Maybe, nil
	}
	all := e.Violations
	wanted := func(v record.Violation) bool {
		return (f.Policy == nil || f.Policy(v.Policy)) && (f.Rule == nil || f.Rule(v.Rule))
	}
	unwanted := func(v record.Violation) bool { return !wanted(v) }
	switch {
	case !slices.ContainsFunc(all, wanted) && (e.OmittedViolations > 0 || slices.ContainsFunc(all, cutName)):
		return Maybe, nil // the line had no room for it, perhaps
	case !slices.ContainsFunc(all, wanted):
		return No, nil
	case !slices.ContainsFunc(all, unwanted):
		return Yes, all
	}
	return Yes, slices.DeleteFunc(slices.Clone(all), unwanted)
}

// cutName reports whether the name of the policy was cut.
func cutName(v record.Violation) bool { return cut(v.Policy) }

func (f *Filter) matchTime(at time.Time) bool {
	return (f.Since.IsZero() || !at.Before(f.Since)) && (f.Until.IsZero() || at.Before(f.Until))
}

func (f *Filter) matchOutcome(o policy.Outcome) bool {
	if len(f.Outcomes) == 0 {
		return o != record.Probed
	}
	return slices.Contains(f.Outcomes, o)
}
