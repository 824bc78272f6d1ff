// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package reviewload makes reviews of large status updates by kubelets, in which every condition changes. Only benchmarks use it.
package reviewload

import (
	"encoding/json"
	"fmt"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// before and after are when the stored and the written object were last changed, in seconds since 1970.
const (
	before = 1_800_000_000
	after  = before + 300
)

// NodeStatus returns a review of 31 KB: a kubelet and a problem detector with its credential change each condition of a Node that has
// 50 images.
func NodeStatus(name string) ([]byte, error) {
	return review(name, "nodes", metav1.ObjectMeta{Name: name}, node(name, before), node(name, after))
}

// PodStatus returns a review of 30 KB: a kubelet changes each condition and each container status of a pod of six containers.
func PodStatus(nodeName string) ([]byte, error) {
	old, updated := pod(nodeName, before), pod(nodeName, after)
	return review(nodeName, "pods", old.ObjectMeta, old, updated)
}

// review returns the review of a status update as an API server sends it.
func review(nodeName, resources string, of metav1.ObjectMeta, old, updated runtime.Object) ([]byte, error) {
	raw := map[runtime.Object][]byte{}
	for _, object := range []runtime.Object{old, updated} {
		data, err := json.Marshal(object)
		if err != nil {
			return nil, err
		}
		raw[object] = data
	}
	dryRun := false
	kind := metav1.GroupVersionKind(old.GetObjectKind().GroupVersionKind())
	resource := metav1.GroupVersionResource{Version: "v1", Resource: resources}
	return json.Marshal(&admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{Kind: "AdmissionReview", APIVersion: "admission.k8s.io/v1"},
		Request: &admissionv1.AdmissionRequest{
			UID: "705ab4f5-6393-11e8-b7cc-42010a800002", Kind: kind, Resource: resource, SubResource: "status",
			RequestKind: &kind, RequestResource: &resource, RequestSubResource: "status",
			Name: of.Name, Namespace: of.Namespace, Operation: admissionv1.Update,
			UserInfo: authenticationv1.UserInfo{
				Username: "system:node:" + nodeName, Groups: []string{"system:nodes", "system:authenticated"},
			},
			Object: runtime.RawExtension{Raw: raw[updated]}, OldObject: runtime.RawExtension{Raw: raw[old]}, DryRun: &dryRun,
			Options: runtime.RawExtension{Raw: []byte(`{"kind":"PatchOptions","apiVersion":"meta.k8s.io/v1"}`)},
		},
	})
}

// node returns a Node of 15 KB whose conditions are from a time.
func node(name string, seconds int64) *corev1.Node {
	quantities := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("64"), corev1.ResourceMemory: resource.MustParse("263712584Ki"),
		corev1.ResourceEphemeralStorage: resource.MustParse("472566Mi"), corev1.ResourcePods: resource.MustParse("110"),
		"hugepages-1Gi": resource.MustParse("0"), "hugepages-2Mi": resource.MustParse("0"), "example.com/gpu": resource.MustParse("8"),
	}
	n := &corev1.Node{
		TypeMeta: metav1.TypeMeta{Kind: "Node", APIVersion: "v1"},
		ObjectMeta: metav1.ObjectMeta{
			Name: name, UID: "0b6c8f0e-6e0d-4c3e-9f5e-1d3a5a0f7f11", ResourceVersion: "123456", CreationTimestamp: metav1.Unix(1_790_000_000, 0),
			Labels: map[string]string{
				corev1.LabelHostname: name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64",
				"beta.kubernetes.io/os": "linux", "beta.kubernetes.io/arch": "amd64",
				corev1.LabelInstanceTypeStable: "m5.16xlarge", corev1.LabelTopologyRegion: "r1", corev1.LabelTopologyZone: "r1a",
				"example.com/pool": "general", "example.com/rack": "17",
			}, Annotations: map[string]string{
				"csi.volume.kubernetes.io/nodeid":                        fmt.Sprintf(`{"csi.example.com":%q}`, name),
				"volumes.kubernetes.io/controller-managed-attach-detach": "true",
				"node.alpha.kubernetes.io/ttl":                           "0",
			},
		},
		Spec: corev1.NodeSpec{ProviderID: "example://r1/" + name, PodCIDR: "10.244.1.0/24", PodCIDRs: []string{"10.244.1.0/24"}},
		Status: corev1.NodeStatus{
			Capacity: quantities, Allocatable: quantities,
			Addresses: []corev1.NodeAddress{
				{Type: corev1.NodeInternalIP, Address: "10.0.0.1"}, {Type: corev1.NodeHostName, Address: name},
			},
			DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: 10250}},
			NodeInfo: corev1.NodeSystemInfo{
				MachineID: strings.Repeat("0a", 16), SystemUUID: "0b6c8f0e-6e0d-4c3e-9f5e-1d3a5a0f7f11",
				BootID: "0b6c8f0e-6e0d-4c3e-9f5e-1d3a5a0f7f12", KernelVersion: "6.1.0", OSImage: "Debian GNU/Linux 13",
				ContainerRuntimeVersion: "containerd://2.2.0", KubeletVersion: "v1.37.2", OperatingSystem: "linux",
				Architecture: "amd64",
			},
		},
	}
	types := []string{
		"MemoryPressure", "DiskPressure", "PIDPressure", "Ready", "KernelDeadlock", "ReadonlyFilesystem", "FrequentKubeletRestart",
		"FrequentContainerdRestart", "CorruptDockerOverlay2",
	}
	for _, t := range types {
		n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{
			Type: corev1.NodeConditionType(t), Status: status(seconds), Reason: "KubeletHasSufficient",
			Message:           fmt.Sprintf("kubelet has sufficient of it, %d", seconds),
			LastHeartbeatTime: metav1.Unix(seconds, 0), LastTransitionTime: metav1.Unix(seconds, 0),
		})
	}
	for i := range 50 {
		repository := fmt.Sprintf("registry.example.com/platform/team-%d/image-%d", i%7, i)
		n.Status.Images = append(n.Status.Images, corev1.ContainerImage{
			Names:     []string{repository + "@sha256:" + strings.Repeat("c0ffee00", 8), repository + ":v1.2.3"},
			SizeBytes: int64(1_000_000 + i),
		})
	}
	n.ManagedFields = managedFields(types, seconds)
	return n
}

// pod returns a pod of 15 KB whose conditions and container statuses are from a time.
func pod(nodeName string, seconds int64) *corev1.Pod {
	p := &corev1.Pod{
		TypeMeta: metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"},
		ObjectMeta: metav1.ObjectMeta{
			Name: "payments-5d4f8c7b9d-x2x7k", Namespace: metav1.NamespaceDefault, UID: "0b6c8f0e-6e0d-4c3e-9f5e-1d3a5a0f7f13",
			ResourceVersion: "123456", CreationTimestamp: metav1.Unix(1_790_000_000, 0), Generation: 1,
			Labels: map[string]string{"app": "payments", "pod-template-hash": "5d4f8c7b9d"},
		},
		Spec: corev1.PodSpec{NodeName: nodeName, ServiceAccountName: "payments", RestartPolicy: corev1.RestartPolicyAlways},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, PodIP: "10.244.1.7", PodIPs: []corev1.PodIP{{IP: "10.244.1.7"}}, HostIP: "10.0.0.1",
			HostIPs: []corev1.HostIP{{IP: "10.0.0.1"}}, QOSClass: corev1.PodQOSBurstable, ObservedGeneration: 1,
		},
	}
	requests := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("250m"), corev1.ResourceMemory: resource.MustParse("512Mi")}
	for i := range 6 {
		c := corev1.Container{
			Name: fmt.Sprintf("container-%d", i), Image: fmt.Sprintf("registry.example.com/platform/team/image-%d:v1.2.3", i),
			Resources: corev1.ResourceRequirements{Requests: requests, Limits: requests},
		}
		for e := range 15 {
			c.Env = append(c.Env, corev1.EnvVar{Name: fmt.Sprintf("VARIABLE_%d", e), Value: strings.Repeat("value", 6)})
		}
		p.Spec.Containers = append(p.Spec.Containers, c)
		p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: c.Name, Image: c.Image, ImageID: c.Image + "@sha256:" + strings.Repeat("c0ffee00", 8),
			Ready: seconds == after, Started: new(seconds == after), RestartCount: int32(seconds - before),
			ContainerID: "containerd://" + strings.Repeat("0b", 32),
			State:       corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Unix(seconds, 0)}},
			LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
				ExitCode: 137, Reason: "OOMKilled", StartedAt: metav1.Unix(before-1000, 0), FinishedAt: metav1.Unix(seconds-1, 0),
				ContainerID: "containerd://" + strings.Repeat("0c", 32),
			}},
			AllocatedResources: requests, Resources: &corev1.ResourceRequirements{Requests: requests, Limits: requests},
		})
	}
	types := []string{"PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"}
	for _, t := range types {
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{
			Type: corev1.PodConditionType(t), Status: status(seconds), Reason: "ContainersNotReady", ObservedGeneration: 1,
			Message:       fmt.Sprintf("containers with unready status, %d", seconds),
			LastProbeTime: metav1.Unix(seconds, 0), LastTransitionTime: metav1.Unix(seconds, 0),
		})
	}
	p.ManagedFields = managedFields(types, seconds)
	return p
}

// status is a status that differs between the objects.
func status(seconds int64) corev1.ConditionStatus {
	if seconds == after {
		return corev1.ConditionTrue
	}
	return corev1.ConditionFalse
}

// managedFields returns an entry of a controller, and one of a kubelet that owns conditions.
func managedFields(conditions []string, seconds int64) []metav1.ManagedFieldsEntry {
	owned := make([]string, len(conditions))
	for i, t := range conditions {
		owned[i] = fmt.Sprintf(`"k:{\"type\":%s}":{".":{},"f:lastTransitionTime":{},"f:message":{},"f:reason":{},"f:status":{},"f:type":{}}`,
			strings.ReplaceAll(fmt.Sprintf("%q", t), `"`, `\"`))
	}
	entry := func(manager, subresource string, seconds int64, fields string) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{
			Manager: manager, Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1", Subresource: subresource,
			Time: new(metav1.Unix(seconds, 0)), FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(fields),
		}
	}
	return []metav1.ManagedFieldsEntry{
		entry("kube-controller-manager", "", 1_790_000_000, `{"f:metadata":{"f:labels":{".":{},"f:app":{}}},"f:spec":{"f:podCIDR":{}}}`),
		entry("kubelet", "status", seconds, `{"f:status":{"f:conditions":{`+strings.Join(owned, ",")+`}}}`),
	}
}
