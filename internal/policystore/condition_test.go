// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package policystore

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy/rules"
)

// conditionAfter is what is said of the last of several generations of a policy.
func conditionAfter(valid ...bool) metav1.Condition {
	h := policyStates{}
	for i, v := range valid {
		h.hold(rules.NewCompiler(), []v1alpha1.NodeRestrictionPolicy{object("a", "1", int64(i+1), v)})
	}
	return h["a"].condition()
}

func TestCondition(t *testing.T) {
	const fault = `spec.nodes.labels.update.allowed[0]`
	for _, test := range []struct {
		name           string
		valid          []bool
		status         metav1.ConditionStatus
		reason, prefix string
	}{
		{"as written", []bool{true}, metav1.ConditionTrue, "Compiled", "the policy is enforced as written"},
		{"never good", []bool{false}, metav1.ConditionFalse, "InvalidPolicy", partly + fault},
		{
			"once good",
			[]bool{true, false, false},
			metav1.ConditionFalse, "InvalidPolicy",
			"generation 1 stays in force: " + fault,
		},
		{"good again", []bool{false, true}, metav1.ConditionTrue, "Compiled", "the policy is enforced as written"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := conditionAfter(test.valid...)
			if c.Type != "Ready" || c.Status != test.status || c.Reason != test.reason ||
				!strings.HasPrefix(c.Message, test.prefix) || c.ObservedGeneration != int64(len(test.valid)) {
				t.Errorf("got %+v", c)
			}
		})
	}
}

func TestConditionSaysWhatIsProbablyNotMeant(t *testing.T) {
	p := object("a", "1", 1, true)
	p.Spec.Match = &v1alpha1.Match{NodeSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"pool": "a"}}}
	h := policyStates{}
	h.hold(rules.NewCompiler(), []v1alpha1.NodeRestrictionPolicy{p})
	c := h["a"].condition()
	const want = "the policy is enforced as written; warning: spec.match.nodeSelector: "
	if c.Status != metav1.ConditionTrue || !strings.HasPrefix(c.Message, want) {
		t.Errorf("got %+v", c)
	}
}

func TestConditionMessageIsBounded(t *testing.T) {
	h := &policyState{generation: 1}
	for range 100 {
		h.errs = append(h.errs, field.Invalid(field.NewPath("spec"), strings.Repeat("ä", 1000), "is wrong"))
	}
	message := h.condition().Message
	if len(message) > 5<<10 || !utf8.ValidString(message) || !strings.HasSuffix(message, "; and 84 more") {
		t.Errorf("%d bytes: %.100q ... %q", len(message), message, message[len(message)-50:])
	}
}

func TestPlan(t *testing.T) {
	now := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	good, lastGood, partial := conditionAfter(true), conditionAfter(true, false), conditionAfter(false)
	// at is a status that has the condition since some time ago, for a generation.
	at := func(c metav1.Condition, ago time.Duration, generation int64) *v1alpha1.NodeRestrictionPolicyStatus {
		c.LastTransitionTime, c.ObservedGeneration = metav1.NewTime(now.Add(-ago)), generation
		return &v1alpha1.NodeRestrictionPolicyStatus{ObservedGeneration: generation, Conditions: []metav1.Condition{c}}
	}
	of := func(c metav1.Condition, generation int64) metav1.Condition {
		c.ObservedGeneration = generation
		return c
	}
	incomplete := at(good, time.Hour, 3)
	incomplete.ObservedGeneration = 2
	for _, test := range []struct {
		name  string
		have  *v1alpha1.NodeRestrictionPolicyStatus
		want  metav1.Condition
		write bool
		wait  time.Duration
	}{
		{name: "a policy that nobody has seen is written", want: of(good, 1), write: true},
		{
			name: "a status with nothing but violations is written",
			have: &v1alpha1.NodeRestrictionPolicyStatus{Violations: &v1alpha1.Violations{}}, want: of(good, 1), write: true,
		},
		{name: "a newer generation is written", have: at(good, 0, 1), want: of(good, 2), write: true},
		{name: "what the status says already is not written", have: at(good, 0, 1), want: of(good, 1)},
		{name: "an older generation is never written", have: at(good, time.Hour, 3), want: of(partial, 2)},
		{name: "a missing observedGeneration is repaired", have: incomplete, want: of(good, 3), write: true},
		{
			name: "a verdict of another replica is not contradicted at once",
			have: at(good, 10*time.Second, 1), want: of(partial, 1), wait: 50 * time.Second,
		},
		{
			name: "a verdict of another replica is contradicted after a minute",
			have: at(good, time.Minute, 1), want: of(partial, 1), write: true,
		},
		{
			name: "a verdict from the future is not waited for longer than a minute",
			have: at(good, -time.Hour, 1), want: of(partial, 1), wait: time.Minute,
		},
		{
			name: "that this replica holds less than another is written",
			have: at(lastGood, 0, 2), want: of(partial, 2), write: true,
		},
		{name: "that this replica holds more than another is not written", have: at(partial, 0, 2), want: of(lastGood, 2)},
	} {
		t.Run(test.name, func(t *testing.T) {
			write, wait := plan(test.have, test.want, now)
			if write != test.write || wait != test.wait {
				t.Errorf("write %v, wait %s", write, wait)
			}
		})
	}
}

func TestAPolicyIsInForceSinceTheLastReplicaChangedToIt(t *testing.T) {
	now := time.Date(2026, 11, 24, 8, 0, 0, 5_000_000, time.UTC)
	compiler := rules.NewCompiler()
	held := func(first bool, generations ...int64) *policyState {
		h := policyStates{}
		for i, g := range generations {
			h.hold(compiler, []v1alpha1.NodeRestrictionPolicy{object("a", "1", g, true)})
			h.enter(now.Add(-time.Hour*time.Duration(len(generations)-1-i)), first && i == 0)
		}
		return h["a"]
	}
	at := func(generation int64, since time.Time) *v1alpha1.NodeRestrictionPolicyStatus {
		s := &v1alpha1.NodeRestrictionPolicyStatus{ObservedGeneration: generation}
		if !since.IsZero() {
			s.Since = &metav1.Time{Time: since.Truncate(time.Second)}
		}
		return s
	}
	for _, test := range []struct {
		name    string
		held    *policyState
		status  *v1alpha1.NodeRestrictionPolicyStatus
		want    time.Time
		differs bool
	}{
		{"the first replica says so", held(false, 1), nil, now, true},
		{"a new generation begins again", held(true, 1, 2), at(1, now.Add(-24*time.Hour)), now, true},
		{"a replica that changes later moves the time", held(true, 1, 2), at(2, now.Add(-time.Minute)), now, true},
		{"a replica that changed earlier does not", held(true, 1, 2), at(2, now.Add(time.Minute)), now.Add(time.Minute), false},
		{"a difference within a second does not", held(true, 1, 2), at(2, now), now, false},
		{"a replica that starts later does not", held(true, 2), at(2, now.Add(-24*time.Hour)), now.Add(-24 * time.Hour), false},
		{"a policy that is new to a running replica moves it", held(false, 2), at(2, now.Add(-time.Minute)), now, true},
		{"a status of an older program gets the time", held(true, 2), at(2, time.Time{}), now, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			since, differs := test.held.sinceIn(test.status)
			if want := test.want.Truncate(time.Second); !since.Time.Equal(want) || differs != test.differs {
				t.Errorf("since %s, differs %v; want %s, %v", since, differs, want, test.differs)
			}
		})
	}
}
