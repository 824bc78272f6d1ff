// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package load is shared by benchmarks and simulations: objects of a realistic size, the resource usage of processes, and the page
// of the figures.
package load

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Node returns a Node as a kubelet on a large machine writes it: about 12 KB without managedFields, mostly because of 50 images.
func Node(name string) *corev1.Node {
	quantities := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("64"), corev1.ResourceMemory: resource.MustParse("263712584Ki"),
		corev1.ResourceEphemeralStorage: resource.MustParse("472566Mi"), corev1.ResourcePods: resource.MustParse("110"),
		"hugepages-1Gi": resource.MustParse("0"), "hugepages-2Mi": resource.MustParse("0"),
	}
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
			corev1.LabelHostname: name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64",
			"beta.kubernetes.io/os": "linux", "beta.kubernetes.io/arch": "amd64",
			corev1.LabelInstanceTypeStable: "m5.16xlarge", corev1.LabelTopologyRegion: "r1", corev1.LabelTopologyZone: "r1a",
			"example.com/pool": "general", "example.com/rack": "17",
		}, Annotations: map[string]string{
			"csi.volume.kubernetes.io/nodeid":                        fmt.Sprintf(`{"csi.example.com":%q}`, name),
			"volumes.kubernetes.io/controller-managed-attach-detach": "true",
			"node.alpha.kubernetes.io/ttl":                           "0",
		}},
		Spec: corev1.NodeSpec{ProviderID: "example://r1/" + name},
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
	for _, c := range []corev1.NodeConditionType{
		corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure, corev1.NodeReady,
	} {
		node.Status.Conditions = append(node.Status.Conditions, corev1.NodeCondition{
			Type: c, Status: corev1.ConditionFalse, Reason: "KubeletHasSufficient", Message: "kubelet has sufficient of it",
		})
	}
	for i := range 50 {
		repository := fmt.Sprintf("registry.example.com/platform/team-%d/image-%d", i%7, i)
		node.Status.Images = append(node.Status.Images, corev1.ContainerImage{
			Names:     []string{repository + "@sha256:" + strings.Repeat("c0ffee00", 8), repository + ":v1.2.3"},
			SizeBytes: int64(1_000_000 + i),
		})
	}
	return node
}

// Pod returns a running pod with four containers.
func Pod(node string) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: "pod-" + node, Namespace: metav1.NamespaceDefault,
			Labels: map[string]string{"app": "payments", "pod-template-hash": "5d4f8c7b9d"},
		},
		Spec: corev1.PodSpec{NodeName: node},
	}
	for i := range 4 {
		c := corev1.Container{
			Name:  fmt.Sprintf("container-%d", i),
			Image: fmt.Sprintf("registry.example.com/platform/team/image-%d:v1.2.3", i),
		}
		for e := range 12 {
			c.Env = append(c.Env, corev1.EnvVar{Name: fmt.Sprintf("VARIABLE_%d", e), Value: strings.Repeat("value", 6)})
		}
		pod.Spec.Containers = append(pod.Spec.Containers, c)
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: c.Name, Image: c.Image, ImageID: c.Image + "@sha256:" + strings.Repeat("c0ffee00", 8), Ready: true,
			ContainerID: "containerd://" + strings.Repeat("0b", 32),
			State:       corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}},
		})
	}
	for _, c := range []corev1.PodConditionType{
		corev1.PodInitialized, corev1.PodReady, corev1.ContainersReady, corev1.PodScheduled,
	} {
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: c, Status: corev1.ConditionTrue})
	}
	pod.Status.Phase, pod.Status.PodIP = corev1.PodRunning, "10.244.1.7"
	pod.Status.PodIPs = []corev1.PodIP{{IP: pod.Status.PodIP}}
	return pod
}
