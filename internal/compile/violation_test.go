// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package compile_test

import (
	"fmt"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/compile"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
	"noderestriction.plus/policy/rules"
)

func finalizers(t *testing.T, patterns int) []compile.Violation {
	t.Helper()
	p := &v1alpha1.NodeRestrictionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "a"}}
	p.Spec.ValidationActions = []v1alpha1.ValidationAction{v1alpha1.Deny}
	p.Spec.Nodes.Finalizers = &v1alpha1.NodeFinalizers{}
	for i := range patterns {
		p.Spec.Nodes.Finalizers.Allowed = append(p.Spec.Nodes.Finalizers.Allowed, v1alpha1.Pattern(fmt.Sprintf("*a%d*.example.com/*b*", i)))
	}
	on := slices.DeleteFunc(rules.All(), func(r policy.Rule) bool { return r.ID != "node-finalizers" })
	return compile.Violations(p, on)
}

// TestLongListsAreTooExpensive checks that what an API server cannot afford is never certain, and always possible.
func TestLongListsAreTooExpensive(t *testing.T) {
	for patterns, want := range map[int]bool{0: false, 4: false, 1000: true} {
		violations := finalizers(t, patterns)
		if len(violations) == 0 {
			t.Fatal("no write violates the rule")
		}
		for i := range violations {
			v := &violations[i]
			if v.TooExpensive() != want || (v.Certain == expression.False) != want {
				t.Errorf("%d patterns in %s: too expensive is %t, certain is %s", patterns, v.Write, v.TooExpensive(), v.Certain)
			}
			if v.Possible == expression.False || v.Missed == expression.False && want || v.Cost > compile.MaxCost {
				t.Errorf("%d patterns in %s: possible is %s, missed %s, at a cost of %d", patterns, v.Write, v.Possible, v.Missed, v.Cost)
			}
		}
	}
}
