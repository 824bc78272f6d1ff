// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"fmt"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/cel/environment"
)

// BenchmarkConditions is what the match conditions cost an API server for a write that they do not send: the chart's, and those that follow
// a policy that denies.
func BenchmarkConditions(b *testing.B) {
	b.Run("default", func(b *testing.B) { benchmarkConditions(b, newCaller(b)) })
	b.Run("followed", func(b *testing.B) { benchmarkConditions(b, newCallerOf(b, followed(b, "strict"))) })
}

func benchmarkConditions(b *testing.B, c *caller) {
	b.Helper()
	node, pod := heartbeatNode(), statusPod()
	beat, ready := node.DeepCopy(), pod.DeepCopy()
	beat.Status.Conditions[0].LastHeartbeatTime = metav1.Unix(300, 0)
	ready.Status.Conditions[0].LastProbeTime = metav1.Unix(300, 0)
	for _, write := range []struct {
		name, user, resource, kind, namespace string
		object, old                           runtime.Object
	}{
		{"heartbeat", "system:node:worker-1", "nodes", "Node", "", beat, node},
		{"pod status", "system:node:worker-1", "pods", "Pod", "default", ready, pod},
		{"somebody else", "system:kube-controller-manager", "nodes", "Node", "", beat, node},
	} {
		kind := corev1.SchemeGroupVersion.WithKind(write.kind)
		write.object.GetObjectKind().SetGroupVersionKind(kind)
		write.old.GetObjectKind().SetGroupVersionKind(kind)
		record := admission.NewAttributesRecord(write.object, write.old, kind, write.namespace, "worker-1",
			corev1.SchemeGroupVersion.WithResource(write.resource), "status", admission.Update, nil, false,
			&user.DefaultInfo{Name: write.user, Groups: []string{"system:authenticated"}})
		b.Run(write.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				attributes := attributesOfRecord(record, kind, write.object, write.old)
				if called, failed := c.match(attributes); len(called)+len(failed) > 0 {
					b.Fatalf("called: %v, failed: %v", called, failed)
				}
			}
			total := int64(0)
			for _, cost := range c.costs(attributesOfRecord(record, kind, write.object, write.old)) {
				total += cost
			}
			b.ReportMetric(float64(total), "cost/op")
		})
	}
}

// attributesOfRecord are those of a write that an API server has read once.
func attributesOfRecord(record admission.Attributes, kind schema.GroupVersionKind, object, old runtime.Object) *admission.VersionedAttributes {
	attributes := &admission.VersionedAttributes{Attributes: record, VersionedKind: kind}
	attributes.VersionedObject.Set(object)
	attributes.VersionedOldObject.Set(old)
	return attributes
}

// BenchmarkCompileConditions is what an API server needs to compile the match conditions, at its start and whenever one of them changes.
// Writes of Nodes and pods wait for it.
func BenchmarkCompileConditions(b *testing.B) {
	for name, webhooks := range map[string][]admissionregistrationv1.ValidatingWebhook{
		"defaults":          render(b).webhooks.Webhooks,
		"both presets deny": render(b, "--set=policies.recommended=Deny,policies.strict=Deny").webhooks.Webhooks,
		"followed strict":   followed(b, "strict"),
	} {
		environments := environment.MustBaseEnvSet(oldestKubernetes)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for i := range webhooks {
					var conditions []cel.ExpressionAccessor
					for j := range webhooks[i].MatchConditions {
						conditions = append(conditions, (*matchconditions.MatchCondition)(&webhooks[i].MatchConditions[j]))
					}
					cel.NewConditionCompiler(environments).CompileCondition(
						conditions, cel.OptionalVariableDeclarations{HasAuthorizer: true}, environment.StoredExpressions)
				}
			}
		})
	}
}

// heartbeatNode is a Node as a kubelet on a large machine keeps it.
func heartbeatNode() *corev1.Node {
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "worker-1", Labels: map[string]string{}, Annotations: map[string]string{}},
		Status: corev1.NodeStatus{
			Addresses: []corev1.NodeAddress{
				{Type: corev1.NodeInternalIP, Address: "10.0.0.1"}, {Type: corev1.NodeHostName, Address: "worker-1"},
			},
		},
	}
	node.Status.Capacity = corev1.ResourceList{
		"cpu": resource.MustParse("64"), "memory": resource.MustParse("263856452Ki"), "pods": resource.MustParse("110"),
		"ephemeral-storage": resource.MustParse("1843269236Ki"), "hugepages-1Gi": resource.MustParse("0"),
		"hugepages-2Mi": resource.MustParse("0"), "example.com/gpu": resource.MustParse("8"),
	}
	node.Status.Allocatable = node.Status.Capacity.DeepCopy()
	node.ManagedFields = []metav1.ManagedFieldsEntry{
		managed("kube-controller-manager", metav1.ManagedFieldsOperationUpdate, 100, `{"f:metadata":{"f:annotations":{}}}`),
		managed("kubelet", metav1.ManagedFieldsOperationUpdate, 200, `{"f:status":{"f:conditions":{}}}`),
	}
	for i := range 10 {
		node.Labels[fmt.Sprintf("example.com/label-%d", i)] = "value"
	}
	for i := range 50 {
		node.Status.Images = append(node.Status.Images, corev1.ContainerImage{
			Names: []string{fmt.Sprintf("registry.example.com/image-%d", i), strings.Repeat("c0ffee00", 8)}, SizeBytes: int64(i),
		})
	}
	for _, c := range []corev1.NodeConditionType{
		corev1.NodeReady, corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure,
	} {
		node.Status.Conditions = append(node.Status.Conditions, corev1.NodeCondition{Type: c, Status: corev1.ConditionFalse})
	}
	return node
}

// statusPod is a running pod of three containers.
func statusPod() *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default", Labels: map[string]string{"app": "web"}},
		Spec:       corev1.PodSpec{NodeName: "worker-1"},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.1.0.1", HostIP: "10.0.0.1"},
	}
	requests := corev1.ResourceList{"cpu": resource.MustParse("250m"), "memory": resource.MustParse("512Mi")}
	for i := range 3 {
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: fmt.Sprintf("c-%d", i), Ready: true, ImageID: strings.Repeat("c0ffee00", 8),
			AllocatedResources: requests, Resources: &corev1.ResourceRequirements{Requests: requests, Limits: requests},
		})
	}
	for _, c := range []corev1.PodConditionType{
		corev1.PodReady, corev1.PodInitialized, corev1.ContainersReady, corev1.PodScheduled,
	} {
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: c, Status: corev1.ConditionTrue})
	}
	return pod
}
