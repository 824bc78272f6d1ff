// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package object

import (
	"reflect"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	corev1 "k8s.io/api/core/v1"
)

// part is a member of an object's metadata, spec or status, or, without a section, another member of the object.
type part struct {
	id            PartID
	same          bool // in both objects of an update
	section, name string
	value         jsontext.Value // as it stands in the object
}

// namedPart is a part without its value yet.
func namedPart(section string, name []byte) part {
	id, known := partOf(section, string(name))
	if known == "" {
		known = string(name)
	}
	return part{id: id, section: section, name: known}
}

// is reports whether it is the part of another object with the same name.
func (p *part) is(other *part) bool {
	return p.id == other.id && p.name == other.name && p.section == other.section
}

// PartID is a part that rules look at, of a Node or a Pod, or any other of the same section.
type PartID uint8

// The parts, in the order of their sections.
const (
	otherTop PartID = iota
	otherMetadata
	ManagedFields
	metadataName
	metadataGenerateName
	metadataNamespace
	metadataUID
	MetadataLabels
	metadataAnnotations
	metadataFinalizers
	metadataOwnerReferences
	metadataDeletionTimestamp
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
	SpecContainers
	SpecInitContainers
	SpecEphemeralContainers
	specVolumes
	specAffinity
	specTopologySpreadConstraints
	specSchedulingGroup
	otherStatus
	statusCapacity
	statusAllocatable
	statusPhase
	statusConditions
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
	partIDs // how many there are
)

// partOf is the part of the name in a section, and the name again if rules know it: as a constant, which costs no memory.
func partOf(section, name string) (id PartID, known string) {
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

func metadataPart(name string) (PartID, string) {
	switch name {
	case "managedFields":
		return ManagedFields, "managedFields"
	case "name":
		return metadataName, "name"
	case "generateName":
		return metadataGenerateName, "generateName"
	case "namespace":
		return metadataNamespace, "namespace"
	case "uid":
		return metadataUID, "uid"
	case "labels":
		return MetadataLabels, "labels"
	case "annotations":
		return metadataAnnotations, "annotations"
	case "finalizers":
		return metadataFinalizers, "finalizers"
	case "ownerReferences":
		return metadataOwnerReferences, "ownerReferences"
	case "deletionTimestamp":
		return metadataDeletionTimestamp, "deletionTimestamp"
	}
	return otherMetadata, ""
}

func specPart(name string) (PartID, string) {
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
	case "containers":
		return SpecContainers, "containers"
	case "initContainers":
		return SpecInitContainers, "initContainers"
	case "ephemeralContainers":
		return SpecEphemeralContainers, "ephemeralContainers"
	case "volumes":
		return specVolumes, "volumes"
	case "affinity":
		return specAffinity, "affinity"
	case "topologySpreadConstraints":
		return specTopologySpreadConstraints, "topologySpreadConstraints"
	case "schedulingGroup":
		return specSchedulingGroup, "schedulingGroup"
	}
	return otherSpec, ""
}

func statusPart(name string) (PartID, string) {
	switch name {
	case "capacity":
		return statusCapacity, "capacity"
	case "allocatable":
		return statusAllocatable, "allocatable"
	case "phase":
		return statusPhase, "phase"
	case "conditions":
		return statusConditions, "conditions"
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

// PartSet is a set of parts.
type PartSet uint64

// AllParts has every part.
const AllParts = 1<<partIDs - 1

func (s PartSet) has(id PartID) bool { return s&(1<<id) != 0 }

// PartsOf are the parts that paths such as status.conditions or spec lead to or into.
func PartsOf(paths []string) PartSet {
	var s PartSet
	for _, path := range paths {
		section, rest, nested := strings.Cut(path, ".")
		if name, _, _ := strings.Cut(rest, "."); nested {
			id, _ := partOf(section, name)
			s |= 1 << id
			continue
		}
		first, last := sectionParts(section)
		s |= 1<<(last+1) - 1<<first
	}
	return s
}

// KnowsPart reports whether a path such as status.conditions or spec leads to or into a part that has a field in a Node or a pod, to one
// that is kept in NodeSpec.Rest, or to a whole section.
func KnowsPart(path string) bool {
	section, rest, nested := strings.Cut(path, ".")
	if !nested {
		return isSection(section)
	}
	name, _, _ := strings.Cut(rest, ".")
	if _, known := partOf(section, name); known != "" {
		return true
	}
	_, kept := Shapes{}.Of(reflect.TypeFor[corev1.NodeSpec]()).fields[name]
	return section == "spec" && kept
}

// sectionParts are the first and the last part of a section.
func sectionParts(section string) (first, last PartID) {
	switch section {
	case "metadata":
		return otherMetadata, metadataDeletionTimestamp
	case "spec":
		return otherSpec, specSchedulingGroup
	case "status":
		return otherStatus, statusNodeAllocatableResourceClaimStatuses
	}
	return otherTop, otherTop
}
