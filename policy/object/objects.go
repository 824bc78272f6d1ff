// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package object

import (
	"github.com/go-json-experiment/json/jsontext"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"noderestriction.plus/policy/pattern"
)

// The types of this file are the parts of objects that rules look at. What is not listed is skipped while decoding; what is
// listed must be in field, too.

// Metadata is the part of an object's metadata that rules look at.
type Metadata struct {
	Name              string                  `json:"name"`
	GenerateName      string                  `json:"generateName"`
	Namespace         string                  `json:"namespace"`
	UID               types.UID               `json:"uid"`
	Labels            map[string]string       `json:"labels"`
	Annotations       map[string]string       `json:"annotations"`
	Finalizers        []string                `json:"finalizers"`
	OwnerReferences   []metav1.OwnerReference `json:"ownerReferences"`
	DeletionTimestamp *metav1.Time            `json:"deletionTimestamp"`
}

// Node is the part of a Node that rules look at.
type Node struct {
	Metadata `json:"metadata"`
	Spec     NodeSpec   `json:"spec"`
	Status   NodeStatus `json:"status"`
}

// NodeSpec is a Node's spec. What is not named is kept as it stands in Rest.
type NodeSpec struct {
	Taints        []corev1.Taint            `json:"taints"`
	Unschedulable bool                      `json:"unschedulable"`
	PodCIDR       string                    `json:"podCIDR"`
	PodCIDRs      []string                  `json:"podCIDRs"`
	ProviderID    string                    `json:"providerID"`
	Rest          map[string]jsontext.Value `json:",embed"`
}

// NodeStatus is the part of a Node's status that rules look at.
type NodeStatus struct {
	Capacity         map[string]pattern.QuantityText `json:"capacity"`
	Allocatable      map[string]pattern.QuantityText `json:"allocatable"`
	Phase            string                          `json:"phase"`
	Conditions       Conditions                      `json:"conditions"`
	Addresses        []corev1.NodeAddress            `json:"addresses"`
	DaemonEndpoints  DaemonEndpoints                 `json:"daemonEndpoints"`
	NodeInfo         NodeInfo                        `json:"nodeInfo"`
	Images           []Image                         `json:"images"`
	VolumesInUse     []string                        `json:"volumesInUse"`
	VolumesAttached  jsontext.Value                  `json:"volumesAttached"`
	Config           jsontext.Value                  `json:"config"`
	DeclaredFeatures []string                        `json:"declaredFeatures"`
}

// DaemonEndpoints is a Node's status.daemonEndpoints.
type DaemonEndpoints struct {
	KubeletEndpoint struct {
		Port int32 `json:"Port"`
	} `json:"kubeletEndpoint"`
}

// NodeInfo is the part of a Node's status.nodeInfo that rules look at.
type NodeInfo struct {
	KernelVersion           string `json:"kernelVersion"`
	OSImage                 string `json:"osImage"`
	ContainerRuntimeVersion string `json:"containerRuntimeVersion"`
	KubeletVersion          string `json:"kubeletVersion"`
	OperatingSystem         string `json:"operatingSystem"`
	Architecture            string `json:"architecture"`
}

// Image is an entry of a Node's status.images.
type Image struct {
	Names []string `json:"names"`
}

// Pod is the part of a Pod that rules look at.
type Pod struct {
	Metadata `json:"metadata"`
	Spec     PodSpec   `json:"spec"`
	Status   PodStatus `json:"status"`
}

// IsMirror reports whether the pod is a mirror pod.
func (p *Pod) IsMirror() bool {
	_, found := p.Annotations[corev1.MirrorPodAnnotationKey]
	return found
}

// PodSpec is the part of a pod's spec that rules look at.
type PodSpec struct {
	NodeName                  string           `json:"nodeName"`
	HostNetwork               bool             `json:"hostNetwork"`
	HostPID                   bool             `json:"hostPID"`
	HostIPC                   bool             `json:"hostIPC"`
	PriorityClassName         string           `json:"priorityClassName"`
	Containers                []Container      `json:"containers"`
	InitContainers            []Container      `json:"initContainers"`
	EphemeralContainers       []Container      `json:"ephemeralContainers"`
	Volumes                   []Volume         `json:"volumes"`
	Affinity                  *Affinity        `json:"affinity"`
	TopologySpreadConstraints []jsontext.Value `json:"topologySpreadConstraints"`
	SchedulingGroup           jsontext.Value   `json:"schedulingGroup"`
}

// Container is the part of a container that rules look at.
type Container struct {
	Name            string           `json:"name"`
	SecurityContext *SecurityContext `json:"securityContext"`
}

// SecurityContext is the part of a container's security context that rules look at.
type SecurityContext struct {
	Privileged bool `json:"privileged"`
}

// Volume is the part of a volume that rules look at.
type Volume struct {
	Name     string `json:"name"`
	HostPath *struct {
		Path string `json:"path"`
	} `json:"hostPath"`
}

// Affinity is the part of an affinity that binds other pods.
type Affinity struct {
	PodAffinity     jsontext.Value `json:"podAffinity"`
	PodAntiAffinity jsontext.Value `json:"podAntiAffinity"`
}

// PodStatus is the part of a pod's status that rules look at.
type PodStatus struct {
	Phase                      corev1.PodPhase `json:"phase"`
	Conditions                 Conditions      `json:"conditions"`
	HostIP                     string          `json:"hostIP"`
	HostIPs                    []IP            `json:"hostIPs"`
	PodIP                      string          `json:"podIP"`
	PodIPs                     []IP            `json:"podIPs"`
	ContainerStatuses          []Container     `json:"containerStatuses"`
	InitContainerStatuses      []Container     `json:"initContainerStatuses"`
	EphemeralContainerStatuses []Container     `json:"ephemeralContainerStatuses"`

	ResourceClaimStatuses                []corev1.PodResourceClaimStatus        `json:"resourceClaimStatuses"`
	ExtendedResourceClaimStatus          *corev1.PodExtendedResourceClaimStatus `json:"extendedResourceClaimStatus"`
	NodeAllocatableResourceClaimStatuses claimStatuses                          `json:"nodeAllocatableResourceClaimStatuses"`
}

// claimStatuses hold quantities.
type claimStatuses []corev1.NodeAllocatableResourceClaimStatus

// IP is an entry of podIPs and hostIPs.
type IP struct {
	IP string `json:"ip"`
}

// DeleteOptions is the part of a deletion's options that rules look at.
type DeleteOptions struct {
	Preconditions *struct {
		UID *types.UID `json:"uid"`
	} `json:"preconditions"`
}
