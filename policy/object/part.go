// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package object

import "github.com/go-json-experiment/json/jsontext"

// part is a member of an object's metadata, spec or status. Without a section it is another member of the object.
type part struct {
	id            partID
	same          bool // an update does not change it
	section, name string
	value         jsontext.Value   // as it was sent
	elements      []jsontext.Value // of a list that rules read by its elements; nil if there are too many
}

// namedPart returns a part that has no value yet.
func namedPart(section string, name []byte) part {
	id, known := identify(section, string(name))
	if known == "" {
		known = string(name)
	}
	return part{id: id, section: section, name: known}
}

// is reports whether a part of another object has the same name.
func (p *part) is(other *part) bool {
	return p.id == other.id && p.name == other.name && p.section == other.section
}

// partID identifies a part of a Node or a pod that rules read. The other parts of a section share an ID.
type partID uint8

// The parts, in the order of their sections.
const (
	otherTop partID = iota
	otherMetadata
	managedFields
	metadataName
	metadataGenerateName
	metadataUID
	metadataLabels
	metadataAnnotations
	metadataFinalizers
	metadataOwnerReferences
	metadataDeletionTimestamp
	metadataGeneration
	otherSpec
	specTaints
	specUnschedulable
	specPodCIDR
	specPodCIDRs
	specProviderID
	specNodeName
	specHostNetwork
	specHostPID
	specHostIPC
	specPriorityClassName
	specPriority
	specContainers
	specInitContainers
	specEphemeralContainers
	specVolumes
	specAffinity
	specTopologySpreadConstraints
	specSchedulingGroup
	specResourceClaims
	specReadinessGates
	otherStatus
	statusCapacity
	statusAllocatable
	statusPhase
	statusConditions
	statusObservedGeneration
	statusAddresses
	statusDaemonEndpoints
	statusNodeInfo
	statusImages
	statusVolumesInUse
	statusVolumesAttached
	statusConfig
	statusDeclaredFeatures
	statusHostIP
	statusHostIPs
	statusPodIP
	statusPodIPs
	statusContainerStatuses
	statusInitContainerStatuses
	statusEphemeralContainerStatuses
	statusResourceClaimStatuses
	statusExtendedResourceClaimStatus
	statusNodeAllocatableResourceClaimStatuses
)

// identify returns the ID of a part, and its name as a constant if rules read the part, to save an allocation.
func identify(section, name string) (id partID, known string) {
	switch section {
	case "metadata":
		return metadataPart(name)
	case "spec":
		return specPart(name)
	case "status":
		return statusPart(name)
	}
	return otherTop, ""
}

func metadataPart(name string) (partID, string) {
	switch name {
	case "managedFields":
		return managedFields, "managedFields"
	case "name":
		return metadataName, "name"
	case "generateName":
		return metadataGenerateName, "generateName"
	case "uid":
		return metadataUID, "uid"
	case "labels":
		return metadataLabels, "labels"
	case "annotations":
		return metadataAnnotations, "annotations"
	case "finalizers":
		return metadataFinalizers, "finalizers"
	case "ownerReferences":
		return metadataOwnerReferences, "ownerReferences"
	case "deletionTimestamp":
		return metadataDeletionTimestamp, "deletionTimestamp"
	case "generation":
		return metadataGeneration, "generation"
	}
	return otherMetadata, ""
}

func specPart(name string) (partID, string) {
	switch name {
	case "taints":
		return specTaints, "taints"
	case "unschedulable":
		return specUnschedulable, "unschedulable"
	case "podCIDR":
		return specPodCIDR, "podCIDR"
	case "podCIDRs":
		return specPodCIDRs, "podCIDRs"
	case "providerID":
		return specProviderID, "providerID"
	case "nodeName":
		return specNodeName, "nodeName"
	case "hostNetwork":
		return specHostNetwork, "hostNetwork"
	case "hostPID":
		return specHostPID, "hostPID"
	case "hostIPC":
		return specHostIPC, "hostIPC"
	case "priorityClassName":
		return specPriorityClassName, "priorityClassName"
	case "priority":
		return specPriority, "priority"
	case "containers":
		return specContainers, "containers"
	case "initContainers":
		return specInitContainers, "initContainers"
	case "ephemeralContainers":
		return specEphemeralContainers, "ephemeralContainers"
	case "volumes":
		return specVolumes, "volumes"
	case "affinity":
		return specAffinity, "affinity"
	case "topologySpreadConstraints":
		return specTopologySpreadConstraints, "topologySpreadConstraints"
	case "schedulingGroup":
		return specSchedulingGroup, "schedulingGroup"
	case "resourceClaims":
		return specResourceClaims, "resourceClaims"
	case "readinessGates":
		return specReadinessGates, "readinessGates"
	}
	return otherSpec, ""
}

func statusPart(name string) (partID, string) {
	switch name {
	case "capacity":
		return statusCapacity, "capacity"
	case "allocatable":
		return statusAllocatable, "allocatable"
	case "phase":
		return statusPhase, "phase"
	case "conditions":
		return statusConditions, "conditions"
	case "observedGeneration":
		return statusObservedGeneration, "observedGeneration"
	case "addresses":
		return statusAddresses, "addresses"
	case "daemonEndpoints":
		return statusDaemonEndpoints, "daemonEndpoints"
	case "nodeInfo":
		return statusNodeInfo, "nodeInfo"
	case "images":
		return statusImages, "images"
	case "volumesInUse":
		return statusVolumesInUse, "volumesInUse"
	case "volumesAttached":
		return statusVolumesAttached, "volumesAttached"
	case "config":
		return statusConfig, "config"
	case "declaredFeatures":
		return statusDeclaredFeatures, "declaredFeatures"
	case "hostIP":
		return statusHostIP, "hostIP"
	case "hostIPs":
		return statusHostIPs, "hostIPs"
	case "podIP":
		return statusPodIP, "podIP"
	case "podIPs":
		return statusPodIPs, "podIPs"
	case "containerStatuses":
		return statusContainerStatuses, "containerStatuses"
	case "initContainerStatuses":
		return statusInitContainerStatuses, "initContainerStatuses"
	case "ephemeralContainerStatuses":
		return statusEphemeralContainerStatuses, "ephemeralContainerStatuses"
	case "resourceClaimStatuses":
		return statusResourceClaimStatuses, "resourceClaimStatuses"
	case "extendedResourceClaimStatus":
		return statusExtendedResourceClaimStatus, "extendedResourceClaimStatus"
	case "nodeAllocatableResourceClaimStatuses":
		return statusNodeAllocatableResourceClaimStatuses, "nodeAllocatableResourceClaimStatuses"
	}
	return otherStatus, ""
}

// partSet is a set of parts.
type partSet uint64

func (s partSet) has(id partID) bool { return s&(1<<id) != 0 }
