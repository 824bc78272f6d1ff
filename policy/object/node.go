// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package object

import (
	"github.com/go-json-experiment/json/jsontext"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/policy/pattern"
)

// meta is the metadata of a Node or a pod.
type meta struct {
	view *View

	name, generateName values[string]
	labels             values[map[string]string]
	annotations        values[map[string]string]
	finalizers         values[[]string]
	ownerReferences    values[[]metav1.OwnerReference]
}

// IsStored reports whether the write has the stored object. A creation does not have it, nor a deletion by an API server before 1.15.
func (m *meta) IsStored() bool { return m.view.oldParts != nil }

// IsWritten reports whether the write has a new object. A deletion does not.
func (m *meta) IsWritten() bool { return m.view.parts != nil }

// Name is metadata.name.
func (m *meta) Name() Part[string] { return partOf(m.view, metadataName, &m.name) }

// GenerateName is metadata.generateName.
func (m *meta) GenerateName() Part[string] {
	return partOf(m.view, metadataGenerateName, &m.generateName)
}

// Labels is metadata.labels.
func (m *meta) Labels() Part[map[string]string] { return partOf(m.view, metadataLabels, &m.labels) }

// Annotations is metadata.annotations.
func (m *meta) Annotations() Part[map[string]string] {
	return partOf(m.view, metadataAnnotations, &m.annotations)
}

// Finalizers is metadata.finalizers.
func (m *meta) Finalizers() Part[[]string] {
	return partOf(m.view, metadataFinalizers, &m.finalizers)
}

// OwnerReferences is metadata.ownerReferences.
func (m *meta) OwnerReferences() Part[[]metav1.OwnerReference] {
	return partOf(m.view, metadataOwnerReferences, &m.ownerReferences)
}

// Node is a Node that is written. Each method returns the part with the name of the method.
type Node struct {
	meta

	taints        values[[]corev1.Taint]
	unschedulable values[bool]
	podCIDR       values[string]
	podCIDRs      values[[]string]
	providerID    values[string]

	capacity, allocatable values[map[string]pattern.QuantityText]
	phase                 values[string]
	conditions            values[Conditions]
	addresses             values[[]corev1.NodeAddress]
	daemonEndpoints       values[DaemonEndpoints]
	nodeInfo              values[NodeInfo]
	images                values[[]Image]
	volumesInUse          values[[]string]
	declaredFeatures      values[[]string]
}

// Taints is spec.taints.
func (n *Node) Taints() Part[[]corev1.Taint] { return partOf(n.view, specTaints, &n.taints) }

// Unschedulable is spec.unschedulable.
func (n *Node) Unschedulable() Part[bool] { return partOf(n.view, specUnschedulable, &n.unschedulable) }

// PodCIDR is spec.podCIDR.
func (n *Node) PodCIDR() Part[string] { return partOf(n.view, specPodCIDR, &n.podCIDR) }

// PodCIDRs is spec.podCIDRs.
func (n *Node) PodCIDRs() Part[[]string] { return partOf(n.view, specPodCIDRs, &n.podCIDRs) }

// ProviderID is spec.providerID.
func (n *Node) ProviderID() Part[string] { return partOf(n.view, specProviderID, &n.providerID) }

// OtherSpec returns the fields of the spec that the write changes and that no other method returns, as they were sent. At a creation
// they are all of these fields of the new object.
func (n *Node) OtherSpec() (old, updated map[string]jsontext.Value) {
	old, updated = map[string]jsontext.Value{}, map[string]jsontext.Value{}
	differences := n.view.differencesIn(specParts)
	for i := range differences {
		d := &differences[i]
		if d.Section != "spec" || d.id.isOfNodeSpec() {
			continue
		}
		if d.Old != nil {
			old[d.Name] = d.Old
		}
		if d.Updated != nil {
			updated[d.Name] = d.Updated
		}
	}
	return old, updated
}

// isOfNodeSpec reports whether Node has a method for a part of its spec.
func (id partID) isOfNodeSpec() bool {
	switch id {
	case specTaints, specUnschedulable, specPodCIDR, specPodCIDRs, specProviderID:
		return true
	}
	return false
}

// Capacity is status.capacity.
func (n *Node) Capacity() Part[map[string]pattern.QuantityText] {
	return partOf(n.view, statusCapacity, &n.capacity)
}

// Allocatable is status.allocatable.
func (n *Node) Allocatable() Part[map[string]pattern.QuantityText] {
	return partOf(n.view, statusAllocatable, &n.allocatable)
}

// Phase is status.phase.
func (n *Node) Phase() Part[string] { return partOf(n.view, statusPhase, &n.phase) }

// Conditions is status.conditions.
func (n *Node) Conditions() Part[Conditions] { return partOf(n.view, statusConditions, &n.conditions) }

// Addresses is status.addresses.
func (n *Node) Addresses() Part[[]corev1.NodeAddress] {
	return partOf(n.view, statusAddresses, &n.addresses)
}

// DaemonEndpoints is status.daemonEndpoints.
func (n *Node) DaemonEndpoints() Part[DaemonEndpoints] {
	return partOf(n.view, statusDaemonEndpoints, &n.daemonEndpoints)
}

// NodeInfo is status.nodeInfo.
func (n *Node) NodeInfo() Part[NodeInfo] { return partOf(n.view, statusNodeInfo, &n.nodeInfo) }

// Images is status.images.
func (n *Node) Images() Part[[]Image] { return partOf(n.view, statusImages, &n.images) }

// VolumesInUse is status.volumesInUse.
func (n *Node) VolumesInUse() Part[[]string] {
	return partOf(n.view, statusVolumesInUse, &n.volumesInUse)
}

// VolumesAttached is status.volumesAttached.
func (n *Node) VolumesAttached() RawPart { return RawPart{n.view, statusVolumesAttached} }

// Config is status.config.
func (n *Node) Config() RawPart { return RawPart{n.view, statusConfig} }

// DeclaredFeatures is status.declaredFeatures.
func (n *Node) DeclaredFeatures() Part[[]string] {
	return partOf(n.view, statusDeclaredFeatures, &n.declaredFeatures)
}
