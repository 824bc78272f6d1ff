// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package learn

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"

	"noderestriction.plus/policy"
	"noderestriction.plus/policy/object"
	"noderestriction.plus/policy/pattern"
)

// widener returns the elements that could allow a write that violates a rule: at least those that it needs.
type widener func(*policy.Request) []Element

// wideners returns the wideners of the rules that can be widened. What violates any other rule is never learned.
func wideners() map[policy.RuleID]widener {
	return map[policy.RuleID]widener{
		"node-labels":                 widenLabels,
		"node-annotations":            widenAnnotations,
		"node-taints":                 widenTaints,
		"node-unschedulable":          widenUnschedulable,
		"node-addresses":              widenAddresses,
		"node-kubelet-ports":          widenKubeletPorts,
		"node-conditions":             widenNodeConditions,
		"node-capacity":               widenCapacity,
		"node-extended-resources":     widenExtendedResources,
		"node-images":                 widenImages,
		"node-volumes":                widenVolumes,
		"node-features":               widenFeatures,
		"mirror-pod-namespaces":       widenNamespaces,
		"mirror-pod-labels":           widenMirrorLabels,
		"mirror-pod-annotations":      widenMirrorAnnotations,
		"mirror-pod-priority-classes": widenPriorityClasses,
		"mirror-pod-host-access":      widenHostAccess,
		"mirror-pod-readiness-gates":  widenReadinessGates,
		"pod-metadata":                widenPodMetadata,
		"pod-conditions":              widenPodConditions,
		"pod-ips":                     widenPodIPs,
		"pod-deletion":                widenDeletion,
		"service-account-tokens":      widenTokens,
	}
}

// keyed returns an element of a field for each key.
func keyed(field string, keys []string) []Element {
	elements := make([]Element, len(keys))
	for i, key := range keys {
		elements[i] = Element{Field: field, Key: key}
	}
	return elements
}

// changedKeys returns the keys by which two maps differ.
func changedKeys[V any](old, updated map[string]V, same func(a, b V) bool) []string {
	var keys []string
	for key, value := range updated {
		if before, had := old[key]; !had || !same(before, value) {
			keys = append(keys, key)
		}
	}
	for key := range old {
		if _, has := updated[key]; !has {
			keys = append(keys, key)
		}
	}
	return keys
}

func equal[V comparable](a, b V) bool { return a == b }

// added returns the items of a list that another does not have.
func added[T comparable](old, updated []T) []T {
	return slices.DeleteFunc(slices.Clone(updated), func(item T) bool { return slices.Contains(old, item) })
}

func widenLabels(r *policy.Request) []Element {
	field := updateLabels
	if r.Operation == admissionv1.Create {
		field = registrationLabels
	}
	old, updated := r.Node().Labels().Change()
	return keyed(field, changedKeys(old, updated, equal))
}

// The bounds that a policy may have.
const (
	leastAnnotationBytes = 1 << 10
	mostAnnotationBytes  = 1 << 18
)

func widenAnnotations(r *policy.Request) []Element {
	old, updated := r.Node().Annotations().Change()
	elements := keyed(nodeAnnotations, changedKeys(old, updated, equal))
	for text := range strings.SplitSeq(updated["alpha.kubernetes.io/provided-node-ip"], ",") {
		elements = append(elements, addresses(providedNodeIPs, strings.TrimSpace(text))...)
	}
	size := int64(0)
	for key, value := range updated {
		size += int64(len(key) + len(value))
	}
	return append(elements, Element{Field: annotationBytes, Max: max(nextPower(size, mostAnnotationBytes), leastAnnotationBytes)})
}

func widenTaints(r *policy.Request) []Element {
	if r.Operation != admissionv1.Create {
		return nil // no list allows a change after registration
	}
	var elements []Element
	for _, t := range r.Node().Taints().New() {
		elements = append(elements, Element{Field: taints, Key: t.Key, Value: t.Value, Effect: string(t.Effect)})
	}
	return elements
}

func widenUnschedulable(r *policy.Request) []Element {
	if r.Node().Unschedulable().New() {
		return []Element{{Field: unschedulable, Key: "Cordon"}}
	}
	return []Element{{Field: unschedulable, Key: "Any"}}
}

func widenAddresses(r *policy.Request) []Element {
	var elements []Element
	old, updated := r.Node().Addresses().Change()
	for _, a := range added(old, updated) {
		if a.Type == corev1.NodeInternalIP || a.Type == corev1.NodeExternalIP {
			elements = append(elements, addresses(nodeAddresses, a.Address)...)
		}
	}
	return elements
}

// addresses returns an element of a field for an address, and none for other texts.
func addresses(field, text string) []Element {
	ip, ok := pattern.ParseAddr(text)
	if !ok {
		return nil
	}
	return []Element{{Field: field, Key: ip.String()}}
}

func widenKubeletPorts(r *policy.Request) []Element {
	port := r.Node().DaemonEndpoints().New().KubeletEndpoint.Port
	return keyed(kubeletPorts, []string{strconv.Itoa(int(port))})
}

func widenNodeConditions(r *policy.Request) []Element {
	return widenConditions(nodeConditions, r.Node().Conditions())
}

func widenPodConditions(r *policy.Request) []Element {
	return slices.DeleteFunc(widenConditions(podConditions, r.Pod().Conditions()), func(e Element) bool {
		return e.Key == string(corev1.DisruptionTarget) // says who ends a pod
	})
}

func widenConditions(field string, conditions object.Part[object.Conditions]) []Element {
	old, updated := conditions.Change()
	byType := func(cs object.Conditions) map[string]object.Conditions {
		return cs.ByType(func(string) bool { return false })
	}
	return keyed(field, changedKeys(byType(old), byType(updated), func(a, b object.Conditions) bool {
		return slices.EqualFunc(a, b, object.Condition.Same)
	}))
}

// quantities calls with for each changed quantity of the Node's capacity and allocatable resources, rounded up to an integer.
func quantities(r *policy.Request, with func(name string, n int64)) {
	for _, part := range []object.Part[map[string]pattern.QuantityText]{r.Node().Capacity(), r.Node().Allocatable()} {
		old, updated := part.Change()
		for name, text := range updated {
			if old[name] == text {
				continue
			}
			if quantity, err := pattern.ParseQuantity(text); err == nil {
				with(name, quantity.Value())
			}
		}
	}
}

func widenCapacity(r *policy.Request) []Element {
	var elements []Element
	quantities(r, func(name string, n int64) {
		elements = append(elements, Element{Field: capacity, Key: name, Max: nextPower(n, maxQuantity)})
	})
	return elements
}

func widenExtendedResources(r *policy.Request) []Element {
	var elements []Element
	quantities(r, func(name string, n int64) {
		elements = append(elements, Element{Field: extendedResources, Key: name, Max: n})
	})
	return elements
}

func widenImages(r *policy.Request) []Element {
	updated := r.Node().Images().New()
	names := 0
	for i := range updated {
		names += len(updated[i].Names)
	}
	const namesOfImage = 5 // that a kubelet reports for an image
	return bounded(images, max(len(updated), (names+namesOfImage-1)/namesOfImage))
}

func widenVolumes(r *policy.Request) []Element {
	return bounded(volumes, len(r.Node().VolumesInUse().New()))
}

// bounded returns an element for a number, rounded up.
func bounded(field string, n int) []Element {
	return []Element{{Field: field, Max: nextPower(int64(n), maxListed)}}
}

func widenFeatures(r *policy.Request) []Element {
	return keyed(features, added(r.Node().DeclaredFeatures().Change()))
}

func widenNamespaces(r *policy.Request) []Element {
	return keyed(mirrorNamespaces, []string{r.Namespace})
}

func widenMirrorLabels(r *policy.Request) []Element {
	return keyed(mirrorLabels, changedKeys(nil, r.Pod().Labels().New(), equal))
}

func widenMirrorAnnotations(r *policy.Request) []Element {
	return keyed(mirrorAnnotations, changedKeys(nil, r.Pod().Annotations().New(), equal))
}

func widenPriorityClasses(r *policy.Request) []Element {
	elements := keyed(systemNamespaces, []string{r.Namespace})
	if class := r.Pod().PriorityClassName().New(); class != "" {
		elements = append(elements, Element{Field: priorityClasses, Key: class})
	}
	return elements
}

func widenHostAccess(r *policy.Request) []Element {
	elements := []Element{
		{Field: hostIPC, Key: "Allow"}, {Field: hostNetwork, Key: "Allow"}, {Field: hostPID, Key: "Allow"}, {Field: privileged, Key: "Allow"},
	}
	for _, v := range r.Pod().Volumes().New() {
		if v.HostPath == nil {
			continue
		}
		if directory := path.Clean(v.HostPath.Path); directory != "/" {
			elements = append(elements, Element{Field: hostPaths, Key: directory})
		}
	}
	return elements
}

func widenReadinessGates(r *policy.Request) []Element {
	var types []string
	for _, gate := range r.Pod().ReadinessGates().New() {
		types = append(types, gate.ConditionType)
	}
	return keyed(readinessGates, types)
}

func widenPodMetadata(r *policy.Request) []Element {
	old, updated := r.Pod().Annotations().Change()
	return keyed(podAnnotations, changedKeys(old, updated, equal))
}

func widenPodIPs(r *policy.Request) []Element {
	pod := r.Pod()
	elements := widenIPs(hostIPs, pod.HostIP(), pod.HostIPs())
	if pod.HostNetwork().Old() {
		return append(elements, widenIPs(hostIPs, pod.PodIP(), pod.PodIPs())...)
	}
	return append(elements, widenIPs(podIPs, pod.PodIP(), pod.PodIPs())...)
}

func widenIPs(field string, first object.Part[string], all object.Part[[]object.IP]) []Element {
	elements := addresses(field, first.New())
	for _, ip := range all.New() {
		elements = append(elements, addresses(field, ip.IP)...)
	}
	return elements
}

func widenDeletion(*policy.Request) []Element {
	return []Element{{Field: deletionMode, Key: "Terminating"}}
}

func widenTokens(r *policy.Request) []Element {
	var token struct {
		Spec struct {
			ExpirationSeconds int64 `json:"expirationSeconds"`
		} `json:"spec"`
	}
	if json.Unmarshal(r.Object, &token) != nil {
		return nil
	}
	return []Element{{Field: tokenSeconds, Max: token.Spec.ExpirationSeconds}}
}
