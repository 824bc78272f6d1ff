// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package object

import (
	"github.com/go-json-experiment/json/jsontext"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Pod is a pod that is written. Each method returns the part with the name of the method.
type Pod struct {
	meta

	uid                                  values[types.UID]
	deletionTimestamp                    values[*metav1.Time]
	generation                           values[int64]
	nodeName                             values[string]
	hostNetwork, hostPID, hostIPC        values[bool]
	priorityClassName                    values[string]
	priority                             values[int64]
	readinessGates                       values[[]ReadinessGate]
	containers, initContainers           values[[]Container]
	ephemeralContainers                  values[[]Container]
	volumes                              values[[]Volume]
	affinity                             values[*Affinity]
	topologySpreadConstraints            values[[]jsontext.Value]
	phase                                values[corev1.PodPhase]
	conditions                           values[Conditions]
	observedGeneration                   values[int64]
	hostIP, podIP                        values[string]
	hostIPs, podIPs                      values[[]IP]
	containerStatuses                    values[[]ContainerStatus]
	initContainerStatuses                values[[]ContainerStatus]
	ephemeralContainerStatuses           values[[]ContainerStatus]
	resourceClaimStatuses                values[[]corev1.PodResourceClaimStatus]
	extendedResourceClaimStatus          values[*corev1.PodExtendedResourceClaimStatus]
	nodeAllocatableResourceClaimStatuses values[ClaimStatuses]
}

// IsMirror reports whether an object with the annotations of a pod is a mirror pod.
func IsMirror(annotations map[string]string) bool {
	_, found := annotations[corev1.MirrorPodAnnotationKey]
	return found
}

// UID is metadata.uid.
func (p *Pod) UID() Part[types.UID] { return partOf(p.view, metadataUID, &p.uid) }

// DeletionTimestamp is metadata.deletionTimestamp.
func (p *Pod) DeletionTimestamp() Part[*metav1.Time] {
	return partOf(p.view, metadataDeletionTimestamp, &p.deletionTimestamp)
}

// Generation is metadata.generation.
func (p *Pod) Generation() Part[int64] { return partOf(p.view, metadataGeneration, &p.generation) }

// NodeName is spec.nodeName.
func (p *Pod) NodeName() Part[string] { return partOf(p.view, specNodeName, &p.nodeName) }

// HostNetwork is spec.hostNetwork.
func (p *Pod) HostNetwork() Part[bool] { return partOf(p.view, specHostNetwork, &p.hostNetwork) }

// HostPID is spec.hostPID.
func (p *Pod) HostPID() Part[bool] { return partOf(p.view, specHostPID, &p.hostPID) }

// HostIPC is spec.hostIPC.
func (p *Pod) HostIPC() Part[bool] { return partOf(p.view, specHostIPC, &p.hostIPC) }

// PriorityClassName is spec.priorityClassName.
func (p *Pod) PriorityClassName() Part[string] {
	return partOf(p.view, specPriorityClassName, &p.priorityClassName)
}

// Priority is spec.priority.
func (p *Pod) Priority() Part[int64] { return partOf(p.view, specPriority, &p.priority) }

// ReadinessGates is spec.readinessGates.
func (p *Pod) ReadinessGates() Part[[]ReadinessGate] {
	return partOf(p.view, specReadinessGates, &p.readinessGates)
}

// Containers is spec.containers.
func (p *Pod) Containers() Part[[]Container] { return partOf(p.view, specContainers, &p.containers) }

// InitContainers is spec.initContainers.
func (p *Pod) InitContainers() Part[[]Container] {
	return partOf(p.view, specInitContainers, &p.initContainers)
}

// EphemeralContainers is spec.ephemeralContainers.
func (p *Pod) EphemeralContainers() Part[[]Container] {
	return partOf(p.view, specEphemeralContainers, &p.ephemeralContainers)
}

// Volumes is spec.volumes.
func (p *Pod) Volumes() Part[[]Volume] { return partOf(p.view, specVolumes, &p.volumes) }

// Affinity is spec.affinity.
func (p *Pod) Affinity() Part[*Affinity] { return partOf(p.view, specAffinity, &p.affinity) }

// TopologySpreadConstraints is spec.topologySpreadConstraints, each as it was sent.
func (p *Pod) TopologySpreadConstraints() Part[[]jsontext.Value] {
	return partOf(p.view, specTopologySpreadConstraints, &p.topologySpreadConstraints)
}

// SchedulingGroup is spec.schedulingGroup.
func (p *Pod) SchedulingGroup() RawPart { return RawPart{p.view, specSchedulingGroup} }

// ResourceClaims is spec.resourceClaims.
func (p *Pod) ResourceClaims() RawPart { return RawPart{p.view, specResourceClaims} }

// Phase is status.phase.
func (p *Pod) Phase() Part[corev1.PodPhase] { return partOf(p.view, statusPhase, &p.phase) }

// Conditions is status.conditions.
func (p *Pod) Conditions() Part[Conditions] { return partOf(p.view, statusConditions, &p.conditions) }

// ObservedGeneration is status.observedGeneration.
func (p *Pod) ObservedGeneration() Part[int64] {
	return partOf(p.view, statusObservedGeneration, &p.observedGeneration)
}

// HostIP is status.hostIP.
func (p *Pod) HostIP() Part[string] { return partOf(p.view, statusHostIP, &p.hostIP) }

// HostIPs is status.hostIPs.
func (p *Pod) HostIPs() Part[[]IP] { return partOf(p.view, statusHostIPs, &p.hostIPs) }

// PodIP is status.podIP.
func (p *Pod) PodIP() Part[string] { return partOf(p.view, statusPodIP, &p.podIP) }

// PodIPs is status.podIPs.
func (p *Pod) PodIPs() Part[[]IP] { return partOf(p.view, statusPodIPs, &p.podIPs) }

// ContainerStatuses is status.containerStatuses.
func (p *Pod) ContainerStatuses() Part[[]ContainerStatus] {
	return partOf(p.view, statusContainerStatuses, &p.containerStatuses)
}

// InitContainerStatuses is status.initContainerStatuses.
func (p *Pod) InitContainerStatuses() Part[[]ContainerStatus] {
	return partOf(p.view, statusInitContainerStatuses, &p.initContainerStatuses)
}

// EphemeralContainerStatuses is status.ephemeralContainerStatuses.
func (p *Pod) EphemeralContainerStatuses() Part[[]ContainerStatus] {
	return partOf(p.view, statusEphemeralContainerStatuses, &p.ephemeralContainerStatuses)
}

// ResourceClaimStatuses is status.resourceClaimStatuses.
func (p *Pod) ResourceClaimStatuses() Part[[]corev1.PodResourceClaimStatus] {
	return partOf(p.view, statusResourceClaimStatuses, &p.resourceClaimStatuses)
}

// ExtendedResourceClaimStatus is status.extendedResourceClaimStatus.
func (p *Pod) ExtendedResourceClaimStatus() Part[*corev1.PodExtendedResourceClaimStatus] {
	return partOf(p.view, statusExtendedResourceClaimStatus, &p.extendedResourceClaimStatus)
}

// NodeAllocatableResourceClaimStatuses is status.nodeAllocatableResourceClaimStatuses.
func (p *Pod) NodeAllocatableResourceClaimStatuses() Part[ClaimStatuses] {
	return partOf(p.view, statusNodeAllocatableResourceClaimStatuses, &p.nodeAllocatableResourceClaimStatuses)
}
