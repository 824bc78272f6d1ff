// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/environment"
	"sigs.k8s.io/yaml"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
)

// fullNode is a Node with as many keys and elements as expressions go through, or a part of that; of a part less than one,
// more than that. A number makes each text another one.
func fullNode(n int, part float64) *corev1.Node {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "worker-1", Labels: map[string]string{}, Annotations: map[string]string{}}}
	text := func(i int) string { return fmt.Sprintf("%s.example.org/%04d-%d", strings.Repeat("d", 236), i, n) }
	short := func(i int) string { return text(i)[128:] }
	for i := range parts(expression.MaxKeys, part) {
		node.Labels[text(i)], node.Annotations[text(i)] = "v", strings.Repeat("v", 256)
	}
	for i := range parts(expression.MaxItems, part) {
		node.Finalizers = append(node.Finalizers, text(i))
		node.Spec.PodCIDRs = append(node.Spec.PodCIDRs, text(i))
		node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{Key: text(i), Effect: corev1.TaintEffectNoSchedule})
		node.Status.DeclaredFeatures = append(node.Status.DeclaredFeatures, text(i))
	}
	for i := range parts(expression.MaxOwners, part) {
		node.OwnerReferences = append(node.OwnerReferences, metav1.OwnerReference{APIVersion: "v1", Kind: "Node", Name: text(i)})
	}
	for i := range parts(expression.MaxManagers, part) {
		node.ManagedFields = append(node.ManagedFields, metav1.ManagedFieldsEntry{Manager: short(i), Operation: "Apply", APIVersion: "v1"})
	}
	for i := range parts(expression.MaxAddresses, part) {
		node.Status.Addresses = append(node.Status.Addresses, corev1.NodeAddress{Type: "InternalIP", Address: fmt.Sprintf("10.1.%d.%d", n, i)})
	}
	for i := range parts(expression.MaxConditions, part) {
		node.Status.Conditions = append(node.Status.Conditions, corev1.NodeCondition{Type: corev1.NodeConditionType(short(i))})
	}
	for i := range parts(90, part) {
		node.Status.Images = append(node.Status.Images, corev1.ContainerImage{Names: []string{text(i), text(i + 1000), text(i + 2000)}})
	}
	node.Status.Capacity = resources(parts(expression.MaxKeys, part), fmt.Sprint(n+1000))
	node.Status.Allocatable = resources(parts(expression.MaxKeys, part), fmt.Sprint(n+1000))
	return node
}

func parts(n int, part float64) int { return int(float64(n) / part) }

// fullPod is a pod with as many keys and elements as expressions go through, or a part of that.
func fullPod(n int, part float64) *corev1.Pod {
	node := fullNode(n, part)
	pod := &corev1.Pod{ObjectMeta: node.ObjectMeta}
	pod.Spec.NodeName = "worker-1"
	for i := range parts(expression.MaxItems, part) {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: fmt.Sprintf("c%d-%d", i, n)})
		pod.Spec.ReadinessGates = append(pod.Spec.ReadinessGates, corev1.PodReadinessGate{ConditionType: corev1.PodConditionType(fmt.Sprint("example.com/", i))})
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: fmt.Sprintf("s%d-%d", i, n), State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
		})
		pod.Status.PodIPs = append(pod.Status.PodIPs, corev1.PodIP{IP: fmt.Sprintf("10.%d.1.%d", n, i)})
		pod.Status.HostIPs = append(pod.Status.HostIPs, corev1.HostIP{IP: fmt.Sprintf("10.%d.2.%d", n, i)})
	}
	pod.Spec.InitContainers, pod.Status.InitContainerStatuses = pod.Spec.Containers, pod.Status.ContainerStatuses
	for i := range parts(expression.MaxVolumes, part) {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: fmt.Sprint("v", i), VolumeSource: corev1.VolumeSource{
			HostPath:  &corev1.HostPathVolumeSource{Path: strings.Repeat("/ab", expression.MaxPath/3)},
			Projected: &corev1.ProjectedVolumeSource{Sources: make([]corev1.VolumeProjection, parts(expression.MaxSources, part))},
		}})
	}
	for i := range parts(expression.MaxConditions, part) {
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{
			Type: corev1.PodConditionType(fmt.Sprint("example.com/", i, n)), ObservedGeneration: int64(n + 1),
		})
	}
	if n > 1 {
		pod.Status.Phase = corev1.PodSucceeded
	}
	return pod
}

// TestCompiledPoliciesAreAffordable measures what an API server counts for the largest writes that the bounds let expressions go through:
// at most half of its budgets, for one expression and for a policy.
func TestCompiledPoliciesAreAffordable(t *testing.T) {
	const half = 2
	policies := map[string]*v1alpha1.NodeRestrictionPolicy{}
	for _, name := range []string{"recommended", "strict", "baseline"} {
		data, err := os.ReadFile("../config/policies/" + name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		p := &v1alpha1.NodeRestrictionPolicy{}
		if err := yaml.Unmarshal(data, p); err != nil {
			t.Fatal(err)
		}
		policies[name] = p
	}
	nodes := policy.Request{NodeName: "worker-1", Write: policy.Write{
		Resource: "nodes", Name: "worker-1", OldObject: mustMarshal(fullNode(1, 1)), Object: mustMarshal(fullNode(2, 1)),
	}}
	pods := policy.Request{NodeName: "worker-1", Write: policy.Write{
		Resource: "pods", Name: "a-worker-1", Namespace: "kube-system", OldObject: mustMarshal(fullPod(1, 1)), Object: mustMarshal(fullPod(2, 1)),
	}}
	for name, p := range policies {
		for _, kind := range compileFor(t, []*v1alpha1.NodeRestrictionPolicy{p}) {
			e, errs := newEnforced(kind)
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			for _, r := range []policy.Request{nodes, pods} {
				for _, operation := range []admissionv1.Operation{admissionv1.Create, admissionv1.Update, admissionv1.Delete} {
					for _, subresource := range []string{"", "status"} {
						r := r
						r.Operation, r.Subresource = operation, subresource
						switch operation {
						case admissionv1.Create:
							r.OldObject = nil
						case admissionv1.Delete:
							r.Object = nil
						}
						attributes := (&caller{t: t}).attributesOf(r)
						if !isFor(kind, attributes) || excluded(e, r) {
							continue
						}
						if _, failure := e.violated(t, attributes); failure != "" {
							t.Errorf("%s: %s", kind.Policy.Name, failure)
						}
						total := e.cost(t, attributes, e.evaluators[0]) + e.cost(t, attributes, e.evaluators[1])
						largest, which := e.largest(t, attributes)
						t.Logf("%s: %s costs %d, and the most expensive expression, %s, %d", name, kind.Policy.Name, total, which, largest)
						if total > celconfig.RuntimeCELCostBudget/half || largest > celconfig.PerCallLimit/half {
							t.Errorf("%s costs %d, and %s %d", kind.Policy.Name, total, which, largest)
						}
					}
				}
			}
		}
	}
}

// cost returns what an API server counts for the expressions.
func (e *enforced) cost(t *testing.T, attributes *admission.VersionedAttributes, evaluator cel.ConditionEvaluator) int64 {
	t.Helper()
	const budget = 1_000 * celconfig.RuntimeCELCostBudget
	request := cel.CreateAdmissionRequest(attributes.Attributes,
		metav1.GroupVersionResource(attributes.GetResource()), metav1.GroupVersionKind(attributes.VersionedKind))
	_, left, err := evaluator.ForInput(t.Context(), attributes, request, cel.OptionalVariableBindings{}, nil, budget)
	if err != nil {
		t.Fatalf("%s: %v", e.Policy.Name, err)
	}
	return budget - left
}

// largest returns the most expensive validation with the variables that it reads, which an API server counts apart.
func (e *enforced) largest(t *testing.T, attributes *admission.VersionedAttributes) (cost int64, which policy.RuleID) {
	t.Helper()
	for i, v := range e.Policy.Spec.Validations {
		one := []cel.ExpressionAccessor{&validating.ValidationCondition{Expression: v.Expression}}
		options := cel.OptionalVariableDeclarations{HasAuthorizer: true}
		if c := e.cost(t, attributes, e.compiler.CompileCondition(one, options, environment.StoredExpressions)); c > cost {
			cost, which = c, e.Rules[i]
		}
	}
	return cost, which
}

// TestCompiledPolicyBeyondTheBoundsDenies grows each list of a Node beyond its bound.
func TestCompiledPolicyBeyondTheBoundsDenies(t *testing.T) {
	p := &v1alpha1.NodeRestrictionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "test"}, Spec: v1alpha1.NodeRestrictionPolicySpec{
		ValidationActions: []v1alpha1.ValidationAction{v1alpha1.Deny},
		Nodes: v1alpha1.NodeRules{
			Labels:     &v1alpha1.NodeLabels{Update: &v1alpha1.NodeUpdateLabels{Additions: v1alpha1.AdditionsAny}},
			Finalizers: &v1alpha1.NodeFinalizers{Allowed: []v1alpha1.Pattern{"example.com/*"}}, Conditions: &v1alpha1.NodeConditions{},
		},
	}}
	for _, kind := range compileFor(t, []*v1alpha1.NodeRestrictionPolicy{p}) {
		e, errs := newEnforced(kind)
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		for rule, change := range map[policy.RuleID]func(n *corev1.Node, size int){
			"node-labels": func(n *corev1.Node, size int) { n.Labels = texts(size) },
			"node-finalizers": func(n *corev1.Node, size int) {
				for i := range size {
					n.Finalizers = append(n.Finalizers, fmt.Sprint("example.com/", i))
				}
			},
		} {
			for _, size := range []int{256, 257, 20_000} {
				node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "worker-1"}}
				old := mustMarshal(node)
				change(node, size)
				r := policy.Request{NodeName: "worker-1", Write: policy.Write{
					Operation: admissionv1.Update, Resource: "nodes", Subresource: "status", Name: "worker-1", OldObject: old, Object: mustMarshal(node),
				}}
				attributes := (&caller{t: t}).attributesOf(r)
				if !isFor(kind, attributes) {
					continue
				}
				violated, failure := e.violated(t, attributes)
				if _, denied := violated[rule]; failure != "" || denied != (size > 256) {
					t.Errorf("%s: %d: denied %v, %s", rule, size, denied, failure)
				}
			}
		}
	}
}

// TestCompiledPolicyBeyondTheBoundsOfPods grows the lists of a pod beyond their bounds.
func TestCompiledPolicyBeyondTheBoundsOfPods(t *testing.T) {
	p := &v1alpha1.NodeRestrictionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "test"}, Spec: v1alpha1.NodeRestrictionPolicySpec{
		ValidationActions: []v1alpha1.ValidationAction{v1alpha1.Deny},
		MirrorPods:        v1alpha1.MirrorPodRules{References: &v1alpha1.MirrorPodReferences{}},
		Pods:              v1alpha1.PodRules{Phase: &v1alpha1.PodPhase{}, ObservedGeneration: &v1alpha1.PodObservedGeneration{}},
	}}
	sources := func(size int) *corev1.Pod {
		return &corev1.Pod{Spec: corev1.PodSpec{Volumes: []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{
			Projected: &corev1.ProjectedVolumeSource{Sources: make([]corev1.VolumeProjection, size)},
		}}}}}
	}
	succeeded := func(containers, statuses int, running bool) *corev1.Pod {
		pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: make([]corev1.Container, containers)}}
		pod.Status = corev1.PodStatus{Phase: corev1.PodSucceeded, ContainerStatuses: make([]corev1.ContainerStatus, statuses)}
		if running {
			pod.Status.ContainerStatuses[0].State.Running = &corev1.ContainerStateRunning{}
		}
		return pod
	}
	conditions := func(size int, generation int64) *corev1.Pod {
		pod := &corev1.Pod{}
		for i := range size {
			pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{
				Type: corev1.PodConditionType(fmt.Sprint("example.com/", i)), ObservedGeneration: generation,
			})
		}
		return pod
	}
	for name, test := range map[string]struct {
		rule   policy.RuleID
		pod    *corev1.Pod
		denied bool
	}{
		"a volume with as many sources as are read":        {"mirror-pod-references", sources(expression.MaxSources), false},
		"a volume with more sources":                       {"mirror-pod-references", sources(expression.MaxSources + 1), true},
		"a pod succeeds with as many statuses as are read": {"pod-phase", succeeded(1, expression.MaxItems, false), false},
		"a pod succeeds with more statuses":                {"pod-phase", succeeded(1, expression.MaxItems+1, false), true},
		"a pod with many containers succeeds":              {"pod-phase", succeeded(expression.MaxItems+1, expression.MaxItems+1, true), false},
		"many conditions that observe what there is":       {"pod-observed-generation", conditions(expression.MaxItems, 0), false},
		"one condition that observes a later generation":   {"pod-observed-generation", conditions(1, 1), true},
		"more conditions than are read":                    {"pod-observed-generation", conditions(expression.MaxItems+1, 0), true},
	} {
		test.pod.Name, test.pod.Namespace, test.pod.Spec.NodeName = "web", "shop", "worker-1"
		r := policy.Request{NodeName: "worker-1", Write: policy.Write{
			Operation: admissionv1.Create, Resource: "pods", Name: "web", Namespace: "shop", Object: mustMarshal(test.pod),
		}}
		if test.rule != "mirror-pod-references" {
			before := test.pod.DeepCopy()
			before.Status = corev1.PodStatus{Phase: corev1.PodRunning}
			r.Operation, r.Subresource, r.OldObject = admissionv1.Update, "status", mustMarshal(before)
		}
		attributes, seen := (&caller{t: t}).attributesOf(r), false
		for _, kind := range compileFor(t, []*v1alpha1.NodeRestrictionPolicy{p}) {
			if !isFor(kind, attributes) {
				continue
			}
			seen = true
			e, errs := newEnforced(kind)
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			violated, failure := e.violated(t, attributes)
			if _, denied := violated[test.rule]; failure != "" || denied != test.denied {
				t.Errorf("%s: denied %v, %s", name, denied, failure)
			}
		}
		if !seen {
			t.Errorf("%s: no policy is for the write", name)
		}
	}
}
