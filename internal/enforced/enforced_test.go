// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package enforced

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/api/v1alpha1"
)

func TestCombine(t *testing.T) {
	yes := func(reason, message string) *Finding { return &Finding{metav1.ConditionTrue, reason, message} }
	no := func(reason, message string) *Finding { return &Finding{metav1.ConditionFalse, reason, message} }
	unknown := func(reason, message string) *Finding { return &Finding{metav1.ConditionUnknown, reason, message} }
	for name, test := range map[string]struct {
		findings        []*Finding
		status          metav1.ConditionStatus
		reason, message string
	}{
		"one source":                  {[]*Finding{yes("A", "a")}, metav1.ConditionTrue, "A", "a"},
		"two sources agree":           {[]*Finding{yes("A", "a"), yes("B", "b")}, metav1.ConditionTrue, "A", "a; b"},
		"the second source is worse":  {[]*Finding{yes("A", "a"), no("B", "b")}, metav1.ConditionFalse, "B", "b"},
		"the first source is worse":   {[]*Finding{no("A", "a"), yes("B", "b")}, metav1.ConditionFalse, "A", "a"},
		"False is worse than Unknown": {[]*Finding{unknown("A", "a"), no("B", "b")}, metav1.ConditionFalse, "B", "b"},
		"Unknown does not hide False": {[]*Finding{no("A", "a"), unknown("B", "b")}, metav1.ConditionFalse, "A", "a"},
		"Unknown is worse than True":  {[]*Finding{unknown("A", "a"), yes("B", "b")}, metav1.ConditionUnknown, "A", "a"},
		"a long message is cut":       {[]*Finding{no("A", strings.Repeat("x", 2000))}, metav1.ConditionFalse, "A", strings.Repeat("x", maxMessage-3) + "..."},
	} {
		c := combine(test.findings)
		if c.Status != test.status || c.Reason != test.reason || c.Message != test.message {
			t.Errorf("%s: the condition is %+v", name, c)
		}
	}
}

func TestOutdated(t *testing.T) {
	now := time.Now()
	status := func(s metav1.ConditionStatus, message string, age time.Duration) *v1alpha1.NodeRestrictionPolicyStatus {
		return &v1alpha1.NodeRestrictionPolicyStatus{Conditions: []metav1.Condition{{
			Type: condition, Status: s, Reason: "A", Message: message, LastTransitionTime: metav1.NewTime(now.Add(-age)),
		}}}
	}
	want := func(s metav1.ConditionStatus, message string) metav1.Condition {
		return metav1.Condition{Type: condition, Status: s, Reason: "A", Message: message}
	}
	for name, test := range map[string]struct {
		have *v1alpha1.NodeRestrictionPolicyStatus
		want metav1.Condition
		is   bool
	}{
		"there is no status":                         {nil, want(metav1.ConditionTrue, "a"), true},
		"the status says it":                         {status(metav1.ConditionFalse, "a", time.Hour), want(metav1.ConditionFalse, "a"), false},
		"the status is another":                      {status(metav1.ConditionTrue, "a", time.Hour), want(metav1.ConditionFalse, "b"), true},
		"another replica has just written another":   {status(metav1.ConditionTrue, "a", time.Second), want(metav1.ConditionFalse, "b"), false},
		"another difference is found":                {status(metav1.ConditionFalse, "a", time.Hour), want(metav1.ConditionFalse, "b"), true},
		"each replica has an error of its own":       {status(metav1.ConditionUnknown, "a", time.Hour), want(metav1.ConditionUnknown, "b"), false},
		"another difference is found a moment later": {status(metav1.ConditionFalse, "a", time.Second), want(metav1.ConditionFalse, "b"), false},
	} {
		if is := outdated(test.have, test.want, now); is != test.is {
			t.Errorf("%s: outdated is %t", name, is)
		}
	}
}
