// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
	"noderestriction.plus/policy/pattern"
)

func nodeCapacity() policy.Rule {
	return policy.Rule{
		ID: "node-capacity",
		Doc: policy.Doc{
			Title: "A kubelet may report only as many resources as a policy allows",
			Text: "The scheduler places pods where there is room. A kubelet that reports more CPUs, memory or pods " +
				"than it has draws pods to itself, with their secrets.",
			Kubelet: "A kubelet reports what its machine has. What does not grow passes.",
			Attack: "curl -X PATCH -H 'Content-Type: application/merge-patch+json' .../api/v1/nodes/$NODE/status -d " +
				`'{"status":{"allocatable":{"cpu":"9999"},"capacity":{"cpu":"9999"}}}'`,
			Spec:   "spec.nodes.capacity",
			Fields: []string{"status.capacity", "status.allocatable"},
			Since:  "v0.1.0",
			Source: "kubernetes v1.37.2 pkg/kubelet/nodestatus/setters.go",
		},
		Targets: nodeStatusWrites(),
		Agents:  sameForAgents(nodeStatusWrites()),
		Compile: compileNodeCapacity,
		CEL:     stock(expressNodeCapacity),
	}
}

func compileNodeCapacity(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) (policy.Check, field.ErrorList) {
	cfg := spec.Nodes.Capacity
	if cfg == nil {
		return nil, nil
	}
	at = at.Child("nodes", "capacity", "max")
	limits, errs := compileCapacity(cfg.Max, at)
	if forAgents(spec) {
		isNamed := func(name string) bool { _, named := cfg.Max[corev1.ResourceName(name)]; return named }
		isOthers := func(name string) bool { return isExtendedResource(name) && !isNamed(name) }
		return compileAgentQuantities(isNamed, isOthers, func(name string, quantity resource.Quantity) bool {
			return quantity.Cmp(limits[corev1.ResourceName(name)]) <= 0
		}), errs
	}
	tooMany := func(old, updated map[string]pattern.QuantityText) []string {
		return grown(old, updated, func(name string, quantity resource.Quantity) bool {
			limit, has := limits[corev1.ResourceName(name)]
			return !has || quantity.Cmp(limit) <= 0
		})
	}
	return func(r *policy.Request) []policy.Violation {
		vs := appendViolation(nil, "status.allocatable", "must not report allocatable", tooMany(r.Node().Allocatable().Change()))
		return appendViolation(vs, "status.capacity", "must not report capacity", tooMany(r.Node().Capacity().Change()))
	}, errs
}

// compileCapacity returns the limits: those of the policy, and the built-in ones of other resources.
func compileCapacity(bounds map[corev1.ResourceName]v1alpha1.Quantity, at *field.Path) (corev1.ResourceList, field.ErrorList) {
	if errs := pattern.CheckMap(bounds, 64, at); errs != nil {
		return nil, errs
	}
	limits := corev1.ResourceList{}
	for name, limit := range builtInCapacity() {
		limits[name] = resource.MustParse(string(limit))
	}
	var errs field.ErrorList
	for _, name := range slices.Sorted(maps.Keys(bounds)) {
		bound := string(bounds[name])
		quantity, err := resource.Quantity{}, error(nil)
		if pattern.IsPlainQuantity(bound) {
			quantity, err = resource.ParseQuantity(bound)
		}
		switch at := at.Key(text.Cut(string(name), text.MaxQuoted)); {
		case !pattern.IsPlainQuantity(bound) || err != nil:
			errs = append(errs, field.Invalid(at, text.Cut(bound, text.MaxQuoted),
				"must be a quantity such as 16 or 64Gi, of at most 20 characters and without an exponent"))
		case quantity.Sign() < 0:
			errs = append(errs, field.Invalid(at, bound, "must not be negative"))
		default:
			limits[name] = quantity
		}
	}
	return limits, errs
}

// builtInCapacity returns the limits of resources that a policy does not name.
func builtInCapacity() map[corev1.ResourceName]v1alpha1.Quantity {
	return map[corev1.ResourceName]v1alpha1.Quantity{
		corev1.ResourceCPU: "4096", corev1.ResourceMemory: "64Ti", corev1.ResourcePods: "10000", corev1.ResourceEphemeralStorage: "1Pi",
	}
}

// grown returns the quantities that are new or greater than before and not allowed, as name=quantity, sorted. It parses changed ones only.
// A quantity that cannot be parsed is not allowed.
func grown(old, updated map[string]pattern.QuantityText, allowed func(name string, quantity resource.Quantity) bool) []string {
	var refused []string
	for name, text := range updated {
		before, had := old[name]
		if had && before == text {
			continue
		}
		quantity, err := pattern.ParseQuantity(text)
		if err == nil && allowed(name, quantity) {
			continue
		}
		if stored, bad := pattern.ParseQuantity(before); err == nil && bad == nil && had && quantity.Cmp(stored) <= 0 {
			continue
		}
		if err == nil {
			text = pattern.QuantityText(quantity.String())
		}
		refused = append(refused, name+"="+string(text))
	}
	slices.Sort(refused)
	return refused
}

func expressNodeCapacity(spec *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	limits := builtInCapacity()
	for name, quantity := range spec.Nodes.Capacity.Max {
		limits[name] = quantity
	}
	may := func(key, text string) string {
		names := slices.Sorted(maps.Keys(limits))
		either := []string{expression.Not(expression.In(key, names...))}
		for _, name := range names {
			either = append(either, expression.And(key+" == "+quote(string(name)), expression.AtMost(text, quote(string(limits[name])))))
		}
		return expression.Or(either...)
	}
	return expressQuantities(on, may)
}

// expressQuantities returns the quantities in allocatable and capacity that grow and are not allowed.
func expressQuantities(on *expression.Scope, may func(key, text string) string) []expression.Expression {
	oldAllocatable, allocatable := on.Both("status.allocatable", "{}")
	oldCapacity, capacity := on.Both("status.capacity", "{}")
	return []expression.Expression{
		named("status.allocatable", "must not report allocatable", on.GrownQuantities(oldAllocatable, allocatable, may)),
		named("status.capacity", "must not report capacity", on.GrownQuantities(oldCapacity, capacity, may)),
	}
}
