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

// TestLineAndPodRulesAgree is TestLineAndRulesAgree for how a pod ends, who ends it, and which generation of it is observed.
func TestLineAndPodRulesAgree(t *testing.T) {
	typed, unstructured := newCaller(t), newCaller(t)
	unstructured.unstructured = true
	strictest, errs := rules.NewCompiler().Compile(&v1alpha1.NodeRestrictionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "strictest"},
		Spec: v1alpha1.NodeRestrictionPolicySpec{ValidationActions: []v1alpha1.ValidationAction{v1alpha1.Deny}, Pods: v1alpha1.PodRules{
			Conditions: &v1alpha1.PodConditions{}, Phase: &v1alpha1.PodPhase{}, ObservedGeneration: &v1alpha1.PodObservedGeneration{},
			Containers: &v1alpha1.PodContainers{},
		}},
	})
	if len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	set := policy.NewSet(strictest)
	rapid.Check(t, func(t *rapid.T) {
		pod := emptyPod().(*corev1.Pod)
		pod.Generation = rapid.Int64Range(0, 2).Draw(t, "generation")
		if rapid.IntRange(0, 3).Draw(t, "mirror pod") == 0 {
			pod.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "h"}
		}
		old, updated := pod.DeepCopy(), pod.DeepCopy()
		old.Status, updated.Status = drawPodStatus(t, "old"), drawPodStatus(t, "new")
		r := policy.Request{
			NodeName: "worker-1", Write: policy.Write{
				Operation: admissionv1.Update, Resource: "pods", Subresource: "status", Namespace: "default", Name: "a",
				OldObject: mustMarshal(old), Object: mustMarshal(updated),
			},
		}
		denied := set.Evaluate(&r).Denied()
		for _, c := range []*caller{typed, unstructured} {
			called, failed := c.calls(kubelet, r)
			if len(failed) > 0 {
				t.Fatalf("the conditions of %v end in an error", failed)
			}
			if denied && len(called) != 1 {
				t.Fatalf("called is %v, but the rules deny the write", called)
			}
			if slices.Equal(called, []string{gate}) && !denied {
				t.Fatal("gate is called, but the rules at their strictest allow the write")
			}
		}
	})
}

func drawPodStatus(t *rapid.T, name string) (s corev1.PodStatus) {
	s.Phase = rapid.SampledFrom([]corev1.PodPhase{"", corev1.PodRunning, corev1.PodSucceeded, corev1.PodFailed}).Draw(t, name+" phase")
	s.ObservedGeneration = rapid.Int64Range(0, 3).Draw(t, name+" observed generation")
	states := []corev1.ContainerState{
		{}, {Running: &corev1.ContainerStateRunning{}}, {Terminated: &corev1.ContainerStateTerminated{ExitCode: 1}},
	}
	s.ContainerStatuses = []corev1.ContainerStatus{{Name: "c", State: rapid.SampledFrom(states).Draw(t, name+" state")}}
	if rapid.Bool().Draw(t, name+" has an init container") {
		s.InitContainerStatuses = []corev1.ContainerStatus{{Name: "i", State: rapid.SampledFrom(states).Draw(t, name+" init state")}}
	}
	for _, conditionType := range []corev1.PodConditionType{corev1.PodReady, corev1.DisruptionTarget, corev1.DisruptionTarget} {
		if !rapid.Bool().Draw(t, name+" condition") {
			continue
		}
		s.Conditions = append(s.Conditions, corev1.PodCondition{
			Type: conditionType, Status: rapid.SampledFrom([]corev1.ConditionStatus{"True", "False"}).Draw(t, name+" condition status"),
			Reason:             rapid.SampledFrom([]string{"", "EvictionByEvictionAPI", "TerminationByKubelet"}).Draw(t, name+" reason"),
			ObservedGeneration: rapid.Int64Range(0, 3).Draw(t, name+" condition's generation"),
		})
	}
	return s
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
