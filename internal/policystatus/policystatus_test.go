// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package policystatus

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/api/v1alpha1"
)

func TestTransitionTimeChangesWithTheStatusOnly(t *testing.T) {
	now, before := time.Now(), metav1.NewTime(time.Now().Add(-time.Hour))
	of := func(status metav1.ConditionStatus) metav1.Condition {
		return metav1.Condition{Type: "Ready", Status: status}
	}
	have := of(metav1.ConditionTrue)
	have.LastTransitionTime = before
	status := &v1alpha1.NodeRestrictionPolicyStatus{Conditions: []metav1.Condition{have}}
	if got := Transitioned(of(metav1.ConditionTrue), status, now).LastTransitionTime; !got.Equal(&before) {
		t.Errorf("the status did not change, but the time did: %s", got)
	}
	if got := Transitioned(of(metav1.ConditionFalse), status, now).LastTransitionTime.Time; !got.Equal(now) {
		t.Errorf("the status changed, but the time is %s", got)
	}
	if got := Transitioned(of(metav1.ConditionTrue), nil, now).LastTransitionTime.Time; !got.Equal(now) {
		t.Errorf("the first time is %s", got)
	}
}

func TestContest(t *testing.T) {
	now := time.Now()
	for name, test := range map[string]struct{ ago, want time.Duration }{
		"what was just written stands for a minute":       {0, time.Minute},
		"what was written some time ago stands less long": {20 * time.Second, 40 * time.Second},
		"what stood for a minute may be contradicted":     {time.Minute, 0},
		"what is old may be contradicted":                 {time.Hour, 0},
		"a time in the future counts as now":              {-time.Hour, time.Minute},
	} {
		have := &metav1.Condition{LastTransitionTime: metav1.NewTime(now.Add(-test.ago))}
		if got := Contest(have, now); got != test.want {
			t.Errorf("%s: got %s, want %s", name, got, test.want)
		}
	}
}
