// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"maps"
	"slices"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

// TestLineAndRulesAgree draws updates of a Node's status at random and holds the match conditions to three things:
//   - the program is asked, once, about each change of what rules look at, and about nothing else;
//   - no condition ends in an error;
//   - what is refused while no replica answers is refused anyway by the rules at their strictest, so that nothing which a stock
//     kubelet writes depends on the program.
func TestLineAndRulesAgree(t *testing.T) {
	c := newCaller(t)
	strictest, errs := rules.NewCompiler().Compile(&v1alpha1.NodeRestrictionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "strictest"},
		Spec: v1alpha1.NodeRestrictionPolicySpec{ValidationActions: []v1alpha1.ValidationAction{v1alpha1.Deny}, Nodes: v1alpha1.NodeRules{
			Labels: &v1alpha1.NodeLabels{}, Annotations: &v1alpha1.NodeAnnotations{}, Finalizers: &v1alpha1.NodeFinalizers{},
			OwnerReferences: &v1alpha1.NodeOwnerReferences{},
		}},
	})
	if len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	set := policy.NewSet(strictest)
	rapid.Check(t, func(t *rapid.T) {
		old, updated := drawMetadata(t, "old"), drawMetadata(t, "new")
		r := policy.Request{
			NodeName: "worker-1", Write: policy.Write{
				Operation: admissionv1.Update, Resource: "nodes", Subresource: "status", Name: "worker-1",
				OldObject: mustMarshal(&corev1.Node{ObjectMeta: old}), Object: mustMarshal(&corev1.Node{ObjectMeta: updated}),
			},
		}
		called, failed := c.calls(kubelet, r)
		if len(failed) > 0 {
			t.Fatalf("the conditions of %v end in an error", failed)
		}
		changed := !maps.Equal(old.Labels, updated.Labels) || !maps.Equal(old.Annotations, updated.Annotations) ||
			len(old.Finalizers) != len(updated.Finalizers) || len(old.OwnerReferences) != len(updated.OwnerReferences)
		if changed && len(called) != 1 || !changed && len(called) != 0 {
			t.Fatalf("called is %v, changed is %t", called, changed)
		}
		if !slices.Equal(called, []string{gate}) {
			return
		}
		if d := set.Evaluate(&r); !d.Denied() {
			t.Fatal("gate is called, but the rules at their strictest allow the write")
		}
	})
}

// drawMetadata draws from few keys and values, so that two draws often agree in most of them. Lists keep their order, since the
// rules do not mind in which order they are.
func drawMetadata(t *rapid.T, name string) metav1.ObjectMeta {
	m := metav1.ObjectMeta{Name: "worker-1"}
	m.Labels = drawMap(t, name+" labels", map[string][]string{
		"kubernetes.io/hostname": {"worker-1"}, "topology.kubernetes.io/zone": {"a", "b"}, "node.kubernetes.io/windows-build": {"", "10"},
		"example.com/rack": {"", "7"}, "node-role.kubernetes.io/worker": {""}, "topology.csi.example.com/zone": {"a"},
	})
	m.Annotations = drawMap(t, name+" annotations", map[string][]string{
		attach: {"true"}, providedIP: {"10.0.0.1", "10.0.0.2"}, "example.com/a": {"", "1"},
		csiDrivers: {`{"csi.example.com":"1"}`, `{"csi.example.com":"2"}`},
	})
	if rapid.Bool().Draw(t, name+" finalizer") {
		m.Finalizers = []string{"example.com/drain"}
	}
	if rapid.Bool().Draw(t, name+" owner") {
		m.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "worker-1", UID: "1"}}
	}
	return m
}

func drawMap(t *rapid.T, name string, values map[string][]string) map[string]string {
	m := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if n := rapid.IntRange(-1, len(values[key])-1).Draw(t, name+" "+key); n >= 0 {
			m[key] = values[key][n]
		}
	}
	return m
}
