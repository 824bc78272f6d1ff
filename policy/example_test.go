// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"fmt"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

// A policy is compiled once and put into a Set, which then evaluates each write. What the policy does not restrict, and what a
// stock kubelet needs, is allowed.
func Example() {
	compiled, errs := rules.NewCompiler().Compile(&v1alpha1.NodeRestrictionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "recommended"},
		Spec: v1alpha1.NodeRestrictionPolicySpec{
			ValidationActions: []v1alpha1.ValidationAction{v1alpha1.Deny},
			Nodes: v1alpha1.NodeRules{
				Labels:     &v1alpha1.NodeLabels{},     // an empty section is the rule at its strictest
				Finalizers: &v1alpha1.NodeFinalizers{}, // the other rules are off
			},
		},
	})
	if len(errs) > 0 {
		fmt.Println(errs.ToAggregate())
		return
	}
	set := policy.NewSet(compiled)

	for _, object := range []string{
		`{"metadata": {"name": "worker-1", "labels": {"kubernetes.io/os": "linux"}}}`,
		`{"metadata": {"name": "worker-1", "labels": {"node-role.kubernetes.io/control-plane": ""}, "finalizers": ["x"]}}`,
	} {
		request := &policy.Request{
			NodeName: "worker-1", // as in the kubelet's credential
			Write: policy.Write{
				Operation:   admissionv1.Update,
				Resource:    "nodes",
				Subresource: "status",
				Name:        "worker-1",
				Object:      []byte(object),
				OldObject:   []byte(`{"metadata": {"name": "worker-1"}}`),
			},
		}
		if decision := set.Evaluate(request); decision.Denied() {
			fmt.Println(decision.Message())
		} else {
			fmt.Println("allowed")
		}
	}
	// Output:
	// allowed
	// node "worker-1" violates NodeRestrictionPolicy "recommended": node labels (must not add "node-role.kubernetes.io/control-plane"), node finalizers (must not add "x")
}
