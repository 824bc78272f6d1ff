// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"testing"

	admissionv1 "k8s.io/api/admission/v1"

	"noderestriction.plus/policy"
)

// TestDeniedMirrorPodsSayThatTheStaticPodRuns: whichever rule denies the creation of a pod, the message has the note.
func TestDeniedMirrorPodsSayThatTheStaticPodRuns(t *testing.T) {
	creation := &policy.Request{Write: policy.Write{Resource: "pods", Operation: admissionv1.Create}}
	found := 0
	for _, rule := range All() {
		looks := false
		for _, target := range rule.Targets {
			looks = looks || target.Matches(creation)
		}
		switch {
		case looks && (rule.Note == nil || rule.Note(creation) == ""):
			t.Errorf("rule %s looks at the creation of pods, and has no note on it", rule.ID)
		case looks:
			found++
		case rule.Note != nil:
			t.Errorf("rule %s has a note and looks at no creation of a pod", rule.ID)
		}
	}
	if found == 0 {
		t.Error("no rule looks at the creation of pods")
	}
}
