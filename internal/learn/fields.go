// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package learn

import (
	"math/bits"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"

	"noderestriction.plus/api/v1alpha1"
)

// shape is how a field of a policy holds elements.
type shape int

const (
	list   shape = iota // elements are added
	bounds              // a map in which elements raise the bound of their key
	bound               // a number that elements raise
	choice              // a word that an element replaces
)

// fieldSpec describes a field of a policy that can be widened. No other field is ever learned.
type fieldSpec struct {
	path  string // below spec
	shape shape
	limit int // of a list or a map
	// needed says that an omitted list allows more than any list: there is nothing to add to it.
	needed bool
	// initial is what an omitted list allows, and has to keep.
	initial []any
	// probe says that the field distinguishes what its * allows from what must be named. The latter is never learned.
	probe bool
	// value is what the policy has for an element. Nil: its key.
	value func(Element) any
	// headroom is the greatest bound that the policy may have, if learned bounds are doubled. 0: they are not.
	headroom int64
	// generalize makes lines of elements. Nil: each element is a line.
	generalize func(evidences, *lesson) []Line
	// foreign reports whether no stock kubelet needs an element, given the base: only other programs count. Nil: it may.
	foreign func(base draft) bool
}

// fieldSpecs returns the fields that can be widened, in the order of the API.
func fieldSpecs() []fieldSpec {
	return []fieldSpec{
		{path: registrationLabels, limit: 128, needed: true, probe: true, generalize: byDomain},
		{path: updateLabels, limit: 128, probe: true, generalize: byDomain, foreign: hasDriverLabels},
		{path: nodeAnnotations, limit: 128, generalize: byDomain, foreign: always},
		{path: providedNodeIPs, limit: 64, needed: true, value: cidrValue, generalize: byRange},
		{path: annotationBytes, shape: bound, value: numberValue, generalize: byBound},
		{path: taints, limit: 64, needed: true, probe: true, value: taintValue, generalize: byTaint},
		{path: unschedulable, shape: choice, generalize: byChoice, foreign: always},
		{path: nodeAddresses, limit: 64, needed: true, value: cidrValue, generalize: byRange},
		{path: kubeletPorts, limit: 16, needed: true, value: keyNumberValue},
		{path: nodeConditions, limit: 64, foreign: always},
		{path: capacity, shape: bounds, limit: 64, value: quantityValue, headroom: maxQuantity, generalize: byBound},
		{path: extendedResources, limit: 64, value: extendedResourceValue, generalize: byBound},
		{path: images, shape: bound, value: numberValue, headroom: maxListed, generalize: byBound},
		{path: volumes, shape: bound, value: numberValue, headroom: maxListed, generalize: byBound},
		{path: features, limit: 256, needed: true},
		{path: mirrorNamespaces, limit: 64, initial: []any{"kube-system"}},
		{path: mirrorLabels, limit: 128, needed: true, probe: true, generalize: byDomain},
		{path: mirrorAnnotations, limit: 128, needed: true, generalize: byDomain},
		{path: priorityClasses, limit: 32, initial: []any{"system-node-critical", "system-cluster-critical"}},
		{path: systemNamespaces, limit: 64, needed: true},
		{path: hostNetwork, shape: choice, generalize: byChoice},
		{path: hostPID, shape: choice, generalize: byChoice},
		{path: hostIPC, shape: choice, generalize: byChoice},
		{path: privileged, shape: choice, generalize: byChoice},
		{path: hostPaths, limit: 64, needed: true, generalize: byDirectory},
		{path: readinessGates, limit: 64},
		{path: podAnnotations, limit: 64, generalize: byDomain, foreign: always},
		{path: podConditions, limit: 64, foreign: always},
		{path: podIPs, limit: 64, needed: true, value: cidrValue, generalize: byRange},
		{path: hostIPs, limit: 64, needed: true, value: cidrValue, generalize: byRange},
		{path: deletionMode, shape: choice, generalize: byChoice},
		{path: tokenSeconds, shape: bound, value: numberValue, generalize: byBound},
	}
}

// The fields that can be widened.
const (
	registrationLabels = "nodes.labels.registration.allowed"
	updateLabels       = "nodes.labels.update.allowed"
	nodeAnnotations    = "nodes.annotations.allowed"
	providedNodeIPs    = "nodes.annotations.providedNodeIPCIDRs"
	annotationBytes    = "nodes.annotations.maxTotalBytes"
	taints             = "nodes.taints.allowed"
	unschedulable      = "nodes.unschedulable.changes"
	nodeAddresses      = "nodes.addresses.allowedCIDRs"
	kubeletPorts       = "nodes.kubeletPorts.allowed"
	nodeConditions     = "nodes.conditions.allowed"
	capacity           = "nodes.capacity.max"
	extendedResources  = "nodes.extendedResources.allowed"
	images             = "nodes.images.maxCount"
	volumes            = "nodes.volumes.maxInUse"
	features           = "nodes.features.allowed"
	mirrorNamespaces   = "mirrorPods.namespaces.allowed"
	mirrorLabels       = "mirrorPods.labels.allowed"
	mirrorAnnotations  = "mirrorPods.annotations.allowed"
	priorityClasses    = "mirrorPods.priorityClasses.allowed"
	systemNamespaces   = "mirrorPods.priorityClasses.systemNamespaces"
	hostNetwork        = "mirrorPods.hostAccess.hostNetwork"
	hostPID            = "mirrorPods.hostAccess.hostPID"
	hostIPC            = "mirrorPods.hostAccess.hostIPC"
	privileged         = "mirrorPods.hostAccess.privileged"
	hostPaths          = "mirrorPods.hostAccess.hostPathPrefixes"
	readinessGates     = "mirrorPods.readinessGates.allowed"
	podAnnotations     = "pods.metadata.annotations.allowed"
	podConditions      = "pods.conditions.allowed"
	podIPs             = "pods.ips.podIPs.allowedCIDRs"
	hostIPs            = "pods.ips.hostIPs.allowedCIDRs"
	deletionMode       = "pods.deletion.mode"
	tokenSeconds       = "serviceAccountTokens.maxExpirationSeconds"
)

func always(draft) bool { return true }

// hasDriverLabels reports whether the base allows the labels that CSI drivers have a kubelet add. It adds no others after registration.
func hasDriverLabels(base draft) bool {
	return base.get("nodes.labels.update.additions") != string(v1alpha1.AdditionsListed)
}

// of returns what the policy has for an element.
func (f *fieldSpec) of(e Element) any {
	if f.value == nil {
		return e.Key
	}
	return f.value(e)
}

func numberValue(e Element) any { return e.Max }

func keyNumberValue(e Element) any {
	n, err := strconv.ParseInt(e.Key, 10, 32)
	if err != nil {
		return e.Key
	}
	return n
}

// cidrValue is a range, or that of a single address.
func cidrValue(e Element) any {
	switch {
	case strings.Contains(e.Key, "/"):
		return e.Key
	case strings.Contains(e.Key, ":"):
		return e.Key + "/128"
	}
	return e.Key + "/32"
}

func taintValue(e Element) any {
	taint := map[string]any{"key": e.Key}
	if e.Value != "" {
		taint["value"] = e.Value
	}
	if e.Effect != "" {
		taint["effect"] = e.Effect
	}
	return taint
}

func extendedResourceValue(e Element) any { return map[string]any{"name": e.Key, "max": e.Max} }

// quantityValue writes a power of two as kubelets and people do.
func quantityValue(e Element) any {
	if e.Key == "cpu" || e.Key == "pods" {
		return strconv.FormatInt(e.Max, 10)
	}
	return resource.NewQuantity(e.Max, resource.BinarySI).String()
}

const (
	// maxListed is the greatest bound of images and volumes in a policy.
	maxListed = 10_000
	// maxQuantity is the greatest bound of a quantity that is learned.
	maxQuantity = 1 << 62
)

// nextPower returns the least power of two that is at least n, and at most a limit.
func nextPower(n, limit int64) int64 {
	if n <= 1 {
		return 1
	}
	shift := bits.Len64(uint64(n - 1))
	if shift > bits.Len64(maxQuantity)-1 {
		return limit
	}
	return min(1<<shift, limit)
}
