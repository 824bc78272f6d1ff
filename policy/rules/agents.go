// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/object"
	"noderestriction.plus/policy/pattern"
)

// Node agents are clients other than kubelets that policies with spec.subjects hold to their node. What is built in for kubelets is not for
// them: with an empty section nothing of it may change. Each rule says in its Agents whether it has such a form.

// forAgents reports whether a spec is that of a policy for node agents.
func forAgents(spec *v1alpha1.NodeRestrictionPolicySpec) bool { return spec.Subjects != nil }

// sameForAgents is for rules that evaluate the same writes by node agents as by kubelets.
func sameForAgents(targets []policy.Target) policy.Agents { return policy.Agents{Targets: targets} }

// kubeletsOnly is for rules about what kubelets alone write. Why completes the error of their section beside spec.subjects.
func kubeletsOnly(why string) policy.Agents { return policy.Agents{Why: why} }

// The reasons for which a section is refused beside spec.subjects.
const (
	onlyKubeletsCreate = "kubelets alone create mirror pods"
	onlyPlugin         = "the NodeRestriction plugin restricts kubelets only"
)

// podUpdates are the writes in which a node agent can change a pod: a kubelet can update its status only.
func podUpdates() []policy.Target {
	return []policy.Target{
		target("pods", "", admissionv1.Update), target("pods", "status", admissionv1.Update),
	}
}

// podSpecUpdates are the writes in which a node agent can change the spec of a pod.
func podSpecUpdates() []policy.Target {
	return []policy.Target{
		target("pods", "", admissionv1.Update), target("pods", "ephemeralcontainers", admissionv1.Update),
		target("pods", "resize", admissionv1.Update),
	}
}

// agentPodWrites are the writes by which a node agent creates, changes and removes pods.
func agentPodWrites() []policy.Target {
	return []policy.Target{
		target("pods", "", admissionv1.Create, admissionv1.Update, admissionv1.Delete),
		target("pods", "status", admissionv1.Update), target("pods", "ephemeralcontainers", admissionv1.Update),
		target("pods", "resize", admissionv1.Update), target("pods", "eviction", admissionv1.Create),
	}
}

// setting is a field of a section that is for kubelets only.
type setting struct {
	name string
	set  bool
}

// refuseForAgents returns an error for each field of a section that is set although the policy is for node agents.
func refuseForAgents(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path, settings ...setting) field.ErrorList {
	if !forAgents(spec) {
		return nil
	}
	var errs field.ErrorList
	for _, s := range settings {
		if s.set {
			errs = append(errs, field.Forbidden(at.Child(s.name), "must not be set beside subjects: it is for kubelets only"))
		}
	}
	return errs
}

// frozen is the check for what node agents may not change at all: the named parts of a section of the object, or all parts if no name is
// given. At a creation they must be missing.
func frozen(section string, names ...string) policy.Check {
	return func(r *policy.Request) []policy.Violation {
		var changed []string
		for _, d := range r.Differences() {
			if d.Section == section && (len(names) == 0 || slices.Contains(names, d.Name)) && !object.SameOrEmpty(d.Old, d.Updated) {
				changed = append(changed, d.Name)
			}
		}
		slices.Sort(changed)
		var vs []policy.Violation
		for _, name := range slices.Compact(changed) {
			vs = append(vs, policy.Violation{
				Field: section + "." + text.Cut(name, maxFieldName), Detail: "must not change " + text.Quote(section+"."+name),
			})
		}
		return vs
	}
}

// maxFieldName is the largest size of the name of a field in the path of a violation, in bytes.
const maxFieldName = 64

// isKubernetesLabel reports whether Kubernetes reserves a label, or a kubelet manages it: a node agent may write it only if a pattern names
// it.
func isKubernetesLabel(key string) bool {
	domain, _, found := strings.Cut(key, "/")
	return found && (isUnder(domain, "kubernetes.io") || isUnder(domain, "k8s.io"))
}

// compileAgentLabels is [compileNodeLabels] for node agents, who have no labels of their own.
func compileAgentLabels(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) (policy.Check, field.ErrorList) {
	cfg := spec.Nodes.Labels
	errs := refuseForAgents(spec, at, setting{"registration", cfg.Registration != nil})
	update := cfg.Update
	if update == nil {
		update = &v1alpha1.NodeUpdateLabels{}
	}
	at = at.Child("update")
	errs = append(errs, refuseForAgents(spec, at, setting{"additions", update.Additions != ""})...)
	allowed, bad := pattern.CompileKeyValues(update.Allowed, 128, at.Child("allowed"))
	errs = append(errs, bad...)
	fixed, bad := pattern.CompileKeyValues(update.Fixed, 128, at.Child("fixed"))
	errs = append(errs, bad...)
	errs = append(errs, checkReachable(update.Fixed, 128, pattern.Labels(), at.Child("fixed"))...)
	mayChange := func(key, value string) bool {
		may := allowed.MatchNamed(key, value) || !isKubernetesLabel(key) && allowed.Match(key, value)
		return may && !fixed.Match(key, value)
	}
	valueMatters := func(key string) bool { return allowed.ValueMatters(key) || fixed.ValueMatters(key) }
	return func(r *policy.Request) []policy.Violation {
		vs := comparePairs(r.Node().Labels().Change()).except(mayChange, valueMatters).violations("metadata.labels")
		return append(vs, checkHostname(r)...)
	}, errs
}

// compileAgentTaints is [compileNodeTaints] for node agents, who may only remove some.
func compileAgentTaints(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) (policy.Check, field.ErrorList) {
	cfg := spec.Nodes.Taints
	errs := refuseForAgents(spec, at, setting{"allowed", cfg.Allowed != nil}, setting{"required", cfg.Required != nil})
	removable, bad := compileTaints(cfg.Removable, 32, at.Child("removable"))
	return func(r *policy.Request) []policy.Violation {
		old, taints := r.Node().Taints().Change()
		kept := slices.DeleteFunc(slices.Clone(old), func(t corev1.Taint) bool { return removable.match(&t) })
		changes := keyChanges{
			added:   missing(taintTexts(taints), taintTexts(old)),
			removed: missing(taintTexts(kept), taintTexts(taints)),
		}
		return changes.violations("spec.taints")
	}, append(errs, bad...)
}

// compileAgentQuantities compiles the check of capacity and allocatable for node agents. Only resources that are theirs may change, and
// grow only as far as a quantity is allowed. Others returns whether a resource is not the rule's.
func compileAgentQuantities(
	isTheirs, isOthers func(name string) bool, allowed func(name string, quantity resource.Quantity) bool,
) policy.Check {
	refused := func(old, updated map[string]pattern.QuantityText) []string {
		changes := compareMaps(old, updated, sameQuantity).except(func(name string) bool { return isTheirs(name) || isOthers(name) })
		large := grown(old, updated, func(name string, quantity resource.Quantity) bool {
			return !isTheirs(name) || isOthers(name) || allowed(name, quantity)
		})
		return slices.Concat(changes.added, changes.changed, changes.removed, large)
	}
	return func(r *policy.Request) []policy.Violation {
		vs := appendViolation(nil, "status.allocatable", "must not change allocatable", refused(r.Node().Allocatable().Change()))
		return appendViolation(vs, "status.capacity", "must not change capacity", refused(r.Node().Capacity().Change()))
	}
}

// sameQuantity reports whether two texts are the same quantity. One that cannot be parsed equals its own text only.
func sameQuantity(a, b pattern.QuantityText) bool {
	if a == b {
		return true
	}
	first, err := pattern.ParseQuantity(a)
	second, bad := pattern.ParseQuantity(b)
	return err == nil && bad == nil && first.Cmp(second) == 0
}
