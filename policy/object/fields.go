// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package object

import "github.com/go-json-experiment/json/jsontext"

// Which parts of objects have a field, and how rules look at it.

func (m *Metadata) field(id PartID) any {
	switch id {
	case metadataName:
		return &m.Name
	case metadataGenerateName:
		return &m.GenerateName
	case metadataNamespace:
		return &m.Namespace
	case metadataUID:
		return &m.UID
	case MetadataLabels:
		return &m.Labels
	case metadataAnnotations:
		return &m.Annotations
	case metadataFinalizers:
		return &m.Finalizers
	case metadataOwnerReferences:
		return &m.OwnerReferences
	case metadataDeletionTimestamp:
		return &m.DeletionTimestamp
	}
	return nil
}

func (n *Node) field(id PartID) any {
	switch id {
	case specTaints:
		return &n.Spec.Taints
	case specUnschedulable:
		return &n.Spec.Unschedulable
	case specPodCIDR:
		return &n.Spec.PodCIDR
	case specPodCIDRs:
		return &n.Spec.PodCIDRs
	case specProviderID:
		return &n.Spec.ProviderID
	case statusCapacity:
		return &n.Status.Capacity
	case statusAllocatable:
		return &n.Status.Allocatable
	case statusPhase:
		return &n.Status.Phase
	case statusConditions:
		return &n.Status.Conditions
	case statusAddresses:
		return &n.Status.Addresses
	case statusDaemonEndpoints:
		return &n.Status.DaemonEndpoints
	case statusNodeInfo:
		return &n.Status.NodeInfo
	case statusImages:
		return &n.Status.Images
	case statusVolumesInUse:
		return &n.Status.VolumesInUse
	case statusVolumesAttached:
		return &n.Status.VolumesAttached
	case statusConfig:
		return &n.Status.Config
	case statusDeclaredFeatures:
		return &n.Status.DeclaredFeatures
	}
	return n.Metadata.field(id)
}

func (*Node) compared(id PartID) bool {
	switch id {
	case statusImages, statusConditions, statusAddresses, statusVolumesInUse, statusVolumesAttached, statusDeclaredFeatures:
		return true
	}
	return false
}

func (n *Node) keep(p *part) {
	if p.section != "spec" {
		return
	}
	if n.Spec.Rest == nil {
		n.Spec.Rest = map[string]jsontext.Value{}
	}
	n.Spec.Rest[p.name] = p.value
}

func (p *Pod) field(id PartID) any {
	switch id {
	case specNodeName:
		return &p.Spec.NodeName
	case specHostNetwork:
		return &p.Spec.HostNetwork
	case specHostPID:
		return &p.Spec.HostPID
	case specHostIPC:
		return &p.Spec.HostIPC
	case specPriorityClassName:
		return &p.Spec.PriorityClassName
	case SpecContainers:
		return &p.Spec.Containers
	case SpecInitContainers:
		return &p.Spec.InitContainers
	case SpecEphemeralContainers:
		return &p.Spec.EphemeralContainers
	case specVolumes:
		return &p.Spec.Volumes
	case specAffinity:
		return &p.Spec.Affinity
	case specTopologySpreadConstraints:
		return &p.Spec.TopologySpreadConstraints
	case specSchedulingGroup:
		return &p.Spec.SchedulingGroup
	case statusPhase:
		return &p.Status.Phase
	case statusConditions:
		return &p.Status.Conditions
	case statusHostIP:
		return &p.Status.HostIP
	case statusHostIPs:
		return &p.Status.HostIPs
	case statusPodIP:
		return &p.Status.PodIP
	case statusPodIPs:
		return &p.Status.PodIPs
	case statusContainerStatuses:
		return &p.Status.ContainerStatuses
	case statusInitContainerStatuses:
		return &p.Status.InitContainerStatuses
	case statusEphemeralContainerStatuses:
		return &p.Status.EphemeralContainerStatuses
	case statusResourceClaimStatuses:
		return &p.Status.ResourceClaimStatuses
	case statusExtendedResourceClaimStatus:
		return &p.Status.ExtendedResourceClaimStatus
	case statusNodeAllocatableResourceClaimStatuses:
		return &p.Status.NodeAllocatableResourceClaimStatuses
	}
	return p.Metadata.field(id)
}

// compared has what a tenant may have made long.
func (*Pod) compared(id PartID) bool {
	switch id {
	case MetadataLabels, metadataFinalizers, statusConditions, statusContainerStatuses, statusInitContainerStatuses,
		statusEphemeralContainerStatuses, statusResourceClaimStatuses, statusExtendedResourceClaimStatus,
		statusNodeAllocatableResourceClaimStatuses:
		return true
	}
	return false
}

func (*Pod) keep(*part) {}
