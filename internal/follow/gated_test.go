// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package follow

import (
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/conditions"
)

func TestDue(t *testing.T) {
	now := time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC)
	complete := conditionOf(conditions.Finding{Status: metav1.ConditionTrue, Reason: conditions.Complete, Message: "all"}, 2)
	outdated := conditionOf(outdatedFinding(errors.New("forbidden")), 2)
	partial := conditionOf(conditions.Finding{Status: metav1.ConditionTrue, Reason: conditions.Partial, Message: "except"}, 2)
	since := func(c metav1.Condition, ago time.Duration) *metav1.Condition {
		c.LastTransitionTime = metav1.NewTime(now.Add(-ago))
		return &c
	}
	generation := func(c metav1.Condition, n int64) metav1.Condition {
		c.ObservedGeneration = n
		return c
	}
	for name, test := range map[string]struct {
		have *metav1.Condition
		want metav1.Condition
		due  bool
	}{
		"it is new":                                             {nil, complete, true},
		"it says so already":                                    {since(complete, time.Hour), complete, false},
		"it is about the generation before":                     {since(generation(complete, 1), 0), complete, true},
		"another replica has seen a newer generation":           {since(generation(complete, 3), time.Hour), complete, false},
		"the conditions are current again":                      {since(outdated, time.Second), complete, true},
		"a replica that is behind does not contradict at once":  {since(complete, time.Second), outdated, false},
		"it does after a minute":                                {since(complete, time.Minute), outdated, true},
		"replicas of two versions do not contradict each other": {since(complete, time.Second), partial, false},
		"they do after a minute":                                {since(complete, time.Minute), partial, true},
		"another error is not written at once":                  {since(conditionOf(outdatedFinding(errors.New("x")), 2), 0), outdated, false},
	} {
		status := &v1alpha1.NodeRestrictionPolicyStatus{}
		if test.have != nil {
			status.Conditions = append(status.Conditions, *test.have)
		}
		if got := due(status, test.want, now); got != test.due {
			t.Errorf("%s: got %t", name, got)
		}
	}
	if !due(nil, complete, now) {
		t.Error("a policy without a status gets the condition")
	}
}
