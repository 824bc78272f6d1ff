// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package object

import "slices"

// Gaps are the parts of a write that are not known, because the write was put together from something other than an AdmissionReview, such
// as an audit log. A rule that was evaluated without asking for any of them has the verdict that it has on the whole write. A write with
// gaps must have neither part in its objects, or the same value in both if only the change is not known.
type Gaps struct {
	old, updated, change gapSet
	options              bool

	asked        gapSet
	askedOptions bool
	quantities   bool
}

// gapSet is a set of parts. Those that rules do not read differ only by their sections.
type gapSet = partSet

// MissOld adds a part whose old value is not known, nor whether the write changes it.
func (g *Gaps) MissOld(section, name string) {
	id, _ := identify(section, name)
	g.old |= 1 << id
	g.change |= 1 << id
}

// MissNew adds a part whose new value is not known, nor whether the write changes it.
func (g *Gaps) MissNew(section, name string) {
	id, _ := identify(section, name)
	g.updated |= 1 << id
	g.change |= 1 << id
}

// MissValue adds a part that the write does not change, and whose value is not known.
func (g *Gaps) MissValue(section, name string) {
	id, _ := identify(section, name)
	g.old |= 1 << id
	g.updated |= 1 << id
}

// MissAllOld adds all parts that are not in known, as [Gaps.MissOld] does. The parts that rules do not read are added with them.
func (g *Gaps) MissAllOld(known func(section, name string) bool) {
	missing := partsExcept(known)
	g.old |= missing
	g.change |= missing
}

// MissOptions says that the options of a deletion are not known.
func (g *Gaps) MissOptions() { g.options = true }

// MissAllValues adds all parts that are not in known, as [Gaps.MissValue] does. The parts that rules do not read are added with them.
func (g *Gaps) MissAllValues(known func(section, name string) bool) {
	missing := partsExcept(known)
	g.old |= missing
	g.updated |= missing
}

// partsExcept returns the parts that are not in known.
func partsExcept(known func(section, name string) bool) gapSet {
	var parts gapSet
	for id := otherTop; id <= lastPart; id++ {
		if section, name := id.names(); name == "" || !known(section, name) {
			parts |= 1 << id
		}
	}
	return parts
}

// Asked returns the parts in the gaps that rules have asked for, such as status.phase, sorted. The parts that rules do not read are
// returned as one for each section, such as status.
func (g *Gaps) Asked() []string {
	var parts []string
	for id := otherTop; id <= lastPart; id++ {
		if !g.asked.has(id) {
			continue
		}
		switch section, name := id.names(); {
		case name == "" && section == "":
			parts = append(parts, "the object")
		case name == "":
			parts = append(parts, section)
		default:
			parts = append(parts, section+"."+name)
		}
	}
	if g.askedOptions {
		parts = append(parts, "options")
	}
	slices.Sort(parts)
	return slices.Compact(parts)
}

// WantQuantities reports whether a part that may hold quantities is in the gaps of a write whose quantities were looked at.
func (g *Gaps) WantQuantities() bool { return g.quantities }

// LacksValues reports whether a part other than managedFields is in the gaps, and LacksChanges whether one that the write may change.
func (g *Gaps) LacksValues() bool { return (g.old|g.updated|g.change)&^(1<<managedFields) != 0 }

// LacksChanges is documented at [Gaps.LacksValues].
func (g *Gaps) LacksChanges() bool { return g.change&^(1<<managedFields) != 0 }

// Reset forgets which parts rules have asked for.
func (g *Gaps) Reset() { g.asked, g.askedOptions, g.quantities = 0, false, false }

// ask notes that a rule asks for parts.
func (v *View) ask(of func(*Gaps) gapSet, parts gapSet) {
	if v.write != nil && v.write.Gaps != nil {
		v.write.Gaps.asked |= of(v.write.Gaps) & parts
	}
}

func missingOld(g *Gaps) gapSet     { return g.old }
func missingUpdated(g *Gaps) gapSet { return g.updated }
func missingChange(g *Gaps) gapSet  { return g.change }

// askDifferences notes that a rule asks which of some parts differ, and how.
func (v *View) askDifferences(of gapSet) {
	if v.write == nil || v.write.Gaps == nil {
		return
	}
	g := v.write.Gaps
	g.asked |= g.change & of
	for i := range v.differences.parts {
		g.asked |= (g.old | g.updated) & of & (1 << v.differences.parts[i].id)
	}
}

// askQuantities notes that all quantities of the objects are looked at.
func (v *View) askQuantities() {
	if g := v.write.Gaps; g != nil {
		old, updated := v.write.quantityParts()
		g.quantities = g.old&old != 0 || g.updated&updated != 0
	}
}

// quantityParts returns the parts whose quantities matter: those of a Node, and in a pod those of the stored spec, which may occur in the
// written status.
func (w *Write) quantityParts() (old, updated gapSet) {
	if w.Resource == "nodes" {
		of := gapSet(1<<statusCapacity | 1<<statusAllocatable)
		return of, of
	}
	spec := gapSet(1<<otherSpec | 1<<specContainers | 1<<specInitContainers | 1<<specEphemeralContainers | 1<<specVolumes)
	return spec, spec | 1<<otherStatus | 1<<statusContainerStatuses | 1<<statusInitContainerStatuses |
		1<<statusEphemeralContainerStatuses | 1<<statusNodeAllocatableResourceClaimStatuses
}

const (
	allParts = ^gapSet(0)
	lastPart = statusNodeAllocatableResourceClaimStatuses

	// specParts are the parts of the spec.
	specParts = gapSet(1<<otherStatus - 1<<otherSpec)
)

// names returns the section of a part, and its name if rules read it.
func (id partID) names() (section, name string) {
	names := [...]string{
		managedFields:                     "managedFields",
		metadataName:                      "name",
		metadataGenerateName:              "generateName",
		metadataUID:                       "uid",
		metadataLabels:                    "labels",
		metadataAnnotations:               "annotations",
		metadataFinalizers:                "finalizers",
		metadataOwnerReferences:           "ownerReferences",
		metadataDeletionTimestamp:         "deletionTimestamp",
		metadataGeneration:                "generation",
		specTaints:                        "taints",
		specUnschedulable:                 "unschedulable",
		specPodCIDR:                       "podCIDR",
		specPodCIDRs:                      "podCIDRs",
		specProviderID:                    "providerID",
		specNodeName:                      "nodeName",
		specHostNetwork:                   "hostNetwork",
		specHostPID:                       "hostPID",
		specHostIPC:                       "hostIPC",
		specPriorityClassName:             "priorityClassName",
		specPriority:                      "priority",
		specContainers:                    "containers",
		specInitContainers:                "initContainers",
		specEphemeralContainers:           "ephemeralContainers",
		specVolumes:                       "volumes",
		specAffinity:                      "affinity",
		specTopologySpreadConstraints:     "topologySpreadConstraints",
		specSchedulingGroup:               "schedulingGroup",
		specResourceClaims:                "resourceClaims",
		specReadinessGates:                "readinessGates",
		statusCapacity:                    "capacity",
		statusAllocatable:                 "allocatable",
		statusPhase:                       "phase",
		statusConditions:                  "conditions",
		statusObservedGeneration:          "observedGeneration",
		statusAddresses:                   "addresses",
		statusDaemonEndpoints:             "daemonEndpoints",
		statusNodeInfo:                    "nodeInfo",
		statusImages:                      "images",
		statusVolumesInUse:                "volumesInUse",
		statusVolumesAttached:             "volumesAttached",
		statusConfig:                      "config",
		statusDeclaredFeatures:            "declaredFeatures",
		statusHostIP:                      "hostIP",
		statusHostIPs:                     "hostIPs",
		statusPodIP:                       "podIP",
		statusPodIPs:                      "podIPs",
		statusContainerStatuses:           "containerStatuses",
		statusInitContainerStatuses:       "initContainerStatuses",
		statusEphemeralContainerStatuses:  "ephemeralContainerStatuses",
		statusResourceClaimStatuses:       "resourceClaimStatuses",
		statusExtendedResourceClaimStatus: "extendedResourceClaimStatus",
		statusNodeAllocatableResourceClaimStatuses: "nodeAllocatableResourceClaimStatuses",
	}
	switch {
	case id == otherTop:
		return "", ""
	case id < otherSpec:
		section = "metadata"
	case id < otherStatus:
		section = "spec"
	default:
		section = "status"
	}
	return section, names[id]
}
