// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	celconfig "k8s.io/apiserver/pkg/apis/cel"

	"noderestriction.plus/policy"
)

// costs are what the conditions of each webhook that looks at the write cost, as the API server counts.
func (c *caller) costs(attributes *admission.VersionedAttributes) map[string]int64 {
	const budget = 1_000 * celconfig.RuntimeCELCostBudgetMatchConditions
	costs := map[string]int64{}
	for _, w := range c.webhooks {
		if !w.looksAt(attributes) {
			continue
		}
		request := cel.CreateAdmissionRequest(attributes.Attributes,
			metav1.GroupVersionResource(attributes.GetResource()), metav1.GroupVersionKind(attributes.VersionedKind))
		_, left, err := w.evaluator.ForInput(c.t.Context(), attributes, request, cel.OptionalVariableBindings{}, nil, budget)
		if err != nil {
			c.t.Errorf("%s: %v", w.Name, err)
			left = 0
		}
		costs[w.Name] = budget - left
	}
	return costs
}

// largeWrites are as large as their writer, or a tenant, can make them, and as large as the conditions go through them.
func largeWrites() map[string]policy.Request {
	writes := map[string]policy.Request{}
	maps.Copy(writes, largeNodeWrites())
	maps.Copy(writes, largePodWrites())
	maps.Copy(writes, otherLargeWrites())
	return writes
}

func largeNodeWrites() map[string]policy.Request {
	write := func(change func(n *corev1.Node, old bool)) policy.Request {
		old, updated := storedNode(), storedNode()
		change(old, true)
		change(updated, false)
		return policy.Request{
			Write: policy.Write{
				Operation: admissionv1.Update, Resource: "nodes", Subresource: "status", Name: "worker-1",
				OldObject: mustMarshal(old), Object: mustMarshal(updated),
			},
		}
	}
	return map[string]policy.Request{
		"a Node at every bound": write(func(n *corev1.Node, old bool) {
			n.Status.Capacity = resources(256, longText(old))
			n.Status.Allocatable = resources(256, longText(old))
			n.ManagedFields = appliedBy(64, !old)
			for i := range 510 - len(n.Labels) {
				n.Labels[fmt.Sprintf("l%d", i)] = fmt.Sprint(old && i == 0)
			}
			for i := range 510 - len(n.Annotations) {
				n.Annotations[fmt.Sprintf("a%d", i)] = fmt.Sprint(old && i == 0)
			}
			n.Annotations[csiDrivers] = fmt.Sprint(old)
			for i := range 63 {
				n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{Type: corev1.NodeConditionType(fmt.Sprint("c", i))})
			}
		}),
		"a Node with only a new CSI driver": write(func(n *corev1.Node, old bool) {
			for i := range 510 - len(n.Labels) {
				n.Labels[fmt.Sprintf("l%d", i)] = ""
			}
			for i := range 510 - len(n.Annotations) {
				n.Annotations[fmt.Sprintf("a%d", i)] = ""
			}
			n.Annotations[csiDrivers] = fmt.Sprint(old)
		}),
		"a Node with more than fits": write(func(n *corev1.Node, old bool) {
			n.Status.Capacity = resources(20_000, longText(old))
			n.ManagedFields = appliedBy(5_000, !old)
			for i := range 30_000 {
				n.Annotations[fmt.Sprintf("a%d", i)] = fmt.Sprint(old)
			}
		}),
	}
}

func largePodWrites() map[string]policy.Request {
	write := func(change func(p *corev1.Pod, old bool)) policy.Request {
		old, updated := emptyPod().(*corev1.Pod), emptyPod().(*corev1.Pod)
		change(old, true)
		change(updated, false)
		return policy.Request{
			Write: policy.Write{
				Operation: admissionv1.Update, Resource: "pods", Subresource: "status", Namespace: "default", Name: "a",
				OldObject: mustMarshal(old), Object: mustMarshal(updated),
			},
		}
	}
	return map[string]policy.Request{
		"a pod with 100,000 labels": write(func(p *corev1.Pod, _ bool) { p.Labels = texts(100_000) }),
		"a pod with 100,000 annotations": write(func(p *corev1.Pod, old bool) {
			p.Annotations = texts(100_000)
			p.Annotations["a1"] = fmt.Sprint(old)
		}),
		"a pod with 50,000 finalizers": write(func(p *corev1.Pod, _ bool) {
			p.Finalizers = slices.Collect(maps.Keys(texts(50_000)))
		}),
		"a pod with 1.5 MiB of arguments": write(func(p *corev1.Pod, old bool) {
			p.Spec.Containers[0].Args = slices.Repeat([]string{""}, 400_000)
			p.Status.PodIP = fmt.Sprint(old)
		}),
		"a pod with 10,000 containers": write(func(p *corev1.Pod, old bool) {
			containers(p, 10_000, 1, longText(false))
			p.Status.PodIP = fmt.Sprint(old)
		}),
		"a pod with as many containers as are gone through": write(func(p *corev1.Pod, old bool) {
			containers(p, 128, 16, longText(false))
			p.Status.PodIP = fmt.Sprint(old)
			p.ManagedFields = appliedBy(64, false)
			for i := range 64 {
				p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: corev1.PodConditionType(fmt.Sprint("c", i))})
			}
			p.Status.NodeAllocatableResourceClaimStatuses = claimStatuses(16)
		}),
		"a pod that ends with as many containers and conditions": write(func(p *corev1.Pod, old bool) {
			containers(p, 128, 16, longText(false))
			p.Status.InitContainerStatuses = slices.Clone(p.Status.ContainerStatuses)
			p.ManagedFields = appliedBy(64, false)
			for range 64 {
				p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{
					Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: corev1.PodReasonTerminationByKubelet,
				})
			}
			p.Status.Phase = corev1.PodRunning
			if !old {
				p.Status.Phase, p.Status.Conditions[63].Message = corev1.PodFailed, "changed"
			}
		}),
		"a pod with many expensive quantities of its tenant": write(func(p *corev1.Pod, old bool) {
			containers(p, 8, 16, strings.Repeat("9", 400))
			p.Spec.InitContainers, p.Spec.EphemeralContainers = manyContainers(8), nil
			p.Status.PodIP = fmt.Sprint(old)
		}),
		"a pod with more of them": write(func(p *corev1.Pod, old bool) {
			containers(p, 128, 16, "1e1002")
			p.Status.PodIP = fmt.Sprint(old)
		}),
		"a pod to which thousands apply": write(func(p *corev1.Pod, old bool) { p.ManagedFields = appliedBy(5_000, !old) }),
		"a pod to which many apply":      write(func(p *corev1.Pod, old bool) { p.ManagedFields = appliedBy(64, !old) }),
	}
}

func otherLargeWrites() map[string]policy.Request {
	deleted := largePodWrites()["a pod with as many containers as are gone through"]
	deleted.Operation, deleted.Subresource, deleted.Object = admissionv1.Delete, "", nil
	resized := largePodWrites()["a pod with as many containers as are gone through"]
	resized.Subresource = "resize"
	claim := &corev1.PersistentVolumeClaim{}
	claim.Spec.Resources.Requests, claim.Status.Capacity = resources(16, "1e1002"), resources(16, "1e1002")
	claim.Spec.Resources.Limits, claim.Status.AllocatedResources = resources(16, "1e1005"), resources(16, "1e1005")
	return map[string]policy.Request{
		"the deletion of a large pod":      deleted,
		"the resize of a large pod":        resized,
		"a ResourceSlice of large devices": largeSlice(64, 8, 2),
		"a ResourceSlice of many devices":  largeSlice(128, 4, 1),
		"a large claim": {
			Write: policy.Write{
				Operation: admissionv1.Update, Resource: "persistentvolumeclaims", Subresource: "status", Namespace: "default", Name: "a",
				Object: mustMarshal(claim), OldObject: mustMarshal(claim),
			},
		},
	}
}

// largeSlice is the creation of a ResourceSlice with so many devices, each with capacities and sets of counters.
func largeSlice(devices, capacities, sets int) policy.Request {
	slice := &resourcev1.ResourceSlice{}
	q := resource.MustParse(longText(true))
	counters := map[string]resourcev1.Counter{}
	for i := range 32 {
		counters[fmt.Sprint("counter-", i)] = resourcev1.Counter{Value: q}
	}
	for range devices {
		device := resourcev1.Device{Capacity: map[resourcev1.QualifiedName]resourcev1.DeviceCapacity{}}
		for i := range capacities {
			device.Capacity[resourcev1.QualifiedName(fmt.Sprint("c", i))] = resourcev1.DeviceCapacity{
				Value: q, RequestPolicy: &resourcev1.CapacityRequestPolicy{
					Default: &q, ValidValues: slices.Repeat([]resource.Quantity{q}, 10),
					ValidRange: &resourcev1.CapacityRequestPolicyRange{Min: &q, Max: &q, Step: &q},
				},
			}
		}
		device.ConsumesCounters = slices.Repeat([]resourcev1.DeviceCounterConsumption{{Counters: counters}}, sets)
		slice.Spec.Devices = append(slice.Spec.Devices, device)
	}
	slice.Spec.SharedCounters = slices.Repeat([]resourcev1.CounterSet{{Counters: counters}}, 8)
	return policy.Request{
		Write: policy.Write{
			Operation: admissionv1.Create, Resource: "resourceslices.resource.k8s.io", Name: "a", Object: mustMarshal(slice),
		},
	}
}

// longText returns a plain quantity whose text the conditions must examine.
func longText(other bool) string {
	if other {
		return "12345678901234567Ki"
	}
	return "9223372036854775807"
}

func texts(n int) map[string]string {
	m := map[string]string{}
	for i := range n {
		m[fmt.Sprint("a", i)] = ""
	}
	return m
}

func resources(n int, text string) corev1.ResourceList {
	list := corev1.ResourceList{}
	for i := range n {
		list[corev1.ResourceName(fmt.Sprint("example.com/", i))] = resource.MustParse(text)
	}
	return list
}

// containers gives a pod n containers, each with some resources, in spec and status.
func containers(p *corev1.Pod, n, some int, text string) {
	list := resources(some, text)
	p.Spec.Containers = manyContainers(n)
	for i := range n {
		p.Spec.Containers[i].Resources = corev1.ResourceRequirements{Requests: list, Limits: list}
		p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: fmt.Sprint("c", i), AllocatedResources: list, Resources: &corev1.ResourceRequirements{Requests: list, Limits: list},
		})
	}
}

func manyContainers(n int) []corev1.Container {
	list := make([]corev1.Container, n)
	for i := range n {
		list[i].Name = fmt.Sprint("c", i)
	}
	return list
}

func claimStatuses(n int) []corev1.NodeAllocatableResourceClaimStatus {
	q := resource.MustParse(longText(true))
	status := corev1.NodeAllocatableResourceClaimStatus{
		Mapping:  slices.Repeat([]corev1.NodeAllocatableMappedResources{{Quantity: &q}}, 16),
		Overhead: slices.Repeat([]corev1.NodeAllocatableOverheadResources{{PerPod: &q, PerContainer: &q}}, 16),
	}
	return slices.Repeat([]corev1.NodeAllocatableResourceClaimStatus{status}, n)
}

// appliedBy are entries of n managers; at another time, if they have been applied again.
func appliedBy(n int, again bool) []metav1.ManagedFieldsEntry {
	entries := make([]metav1.ManagedFieldsEntry, n)
	for i := range n {
		entries[i] = metav1.ManagedFieldsEntry{
			Manager: fmt.Sprint("m", i), Operation: metav1.ManagedFieldsOperationApply, APIVersion: "v1",
			Time: new(metav1.Unix(100, 0)), FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1("{}"),
		}
		if again {
			entries[i].Time = new(metav1.Unix(200, 0))
		}
	}
	return entries
}

// TestConditionsAreWithinTheBudget checks that no pod that a tenant can create, and no object that a kubelet can write, comes near the cost
// budget of a condition. Beyond the budget a write is refused if the failurePolicy is Fail, and passes unseen if it is Ignore.
// The limit of one condition is lower than that of all conditions of a webhook.
func TestConditionsAreWithinTheBudget(t *testing.T) {
	const limit = min(celconfig.PerCallLimit, celconfig.RuntimeCELCostBudgetMatchConditions)
	for _, shape := range []string{"typed", "unstructured"} {
		c := newCaller(t, everything()...)
		c.unstructured = shape == "unstructured"
		for name, write := range largeWrites() {
			t.Run(shape+" "+name, func(t *testing.T) {
				for webhook, cost := range c.costs(c.attributes(kubelet, write)) {
					t.Logf("%s costs %d", webhook, cost)
					if cost > limit/2 {
						t.Errorf("%s costs %d of %d", webhook, cost, limit)
					}
				}
				called, failed := c.calls(kubelet, write)
				if len(failed) > 0 || len(called) > 1 {
					t.Errorf("called are %v, failed %v", called, failed)
				}
				for webhook, cost := range c.costs(c.attributes("kubernetes-admin", write)) {
					if cost > 100 {
						t.Errorf("of somebody else %s costs %d", webhook, cost)
					}
				}
			})
		}
	}
}

// denying are values with all presets and rules of the chart, and every policy denies.
func denying(distribution string) []string {
	return append(everything(), "--set", "policies.recommended=Deny,policies.strict=Deny,policies.distribution="+distribution)
}

// TestLinesOfPoliciesAreWithinTheBudget is [TestConditionsAreWithinTheBudget] with policies that deny, for objects at the bounds of the
// expressions, where they cost most, and far beyond them.
func TestLinesOfPoliciesAreWithinTheBudget(t *testing.T) {
	const limit = min(celconfig.PerCallLimit, celconfig.RuntimeCELCostBudgetMatchConditions)
	for _, distribution := range []string{"", "aks"} {
		c := newCaller(t, denying(distribution)...)
		for _, size := range []struct {
			name string
			part float64
		}{{"at the bounds", 2}, {"at the bounds of a compiled policy", 1}, {"beyond them", 0.1}} {
			for _, r := range fullWrites(size.part) {
				t.Run(fmt.Sprintf("%s %s %s %s %s", distribution, size.name, r.Operation, r.Resource, r.Subresource), func(t *testing.T) {
					if called, failed := c.calls(kubelet, r); len(failed) > 0 || len(called) > 1 {
						t.Errorf("called are %v, failed %v", called, failed)
					}
					for webhook, cost := range c.costs(c.attributes(kubelet, r)) {
						t.Logf("%s costs %d", webhook, cost)
						if cost > limit/2 {
							t.Errorf("%s costs %d of %d", webhook, cost, limit)
						}
					}
				})
			}
		}
	}
}

// fullWrites are writes of Nodes and pods with as many keys and elements as expressions go through, or a part of that, or a multiple. All of
// them change.
func fullWrites(part float64) []policy.Request {
	var writes []policy.Request
	for _, w := range []policy.Write{
		{Resource: "nodes", Operation: admissionv1.Create},
		{Resource: "nodes", Operation: admissionv1.Update},
		{Resource: "nodes", Operation: admissionv1.Update, Subresource: "status"},
		{Resource: "pods", Operation: admissionv1.Update, Subresource: "status"},
		{Resource: "pods", Operation: admissionv1.Create},
		{Resource: "pods", Operation: admissionv1.Delete},
		{Resource: "pods", Operation: admissionv1.Update},
	} {
		w.Name = "worker-1"
		w.OldObject, w.Object = mustMarshal(fullNode(1, part)), mustMarshal(fullNode(2, part))
		if w.Resource == "pods" {
			w.Name, w.Namespace = "a-worker-1", "kube-system"
			w.OldObject, w.Object = mustMarshal(fullPod(1, part)), mustMarshal(fullPod(2, part))
		}
		switch w.Operation {
		case admissionv1.Create:
			w.OldObject = nil
		case admissionv1.Delete:
			w.Object = nil
		}
		writes = append(writes, policy.Request{NodeName: "worker-1", Write: w})
	}
	return writes
}
