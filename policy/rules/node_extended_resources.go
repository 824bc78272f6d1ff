// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
	"noderestriction.plus/policy/pattern"
)

func nodeExtendedResources() policy.Rule {
	return policy.Rule{
		ID: "node-extended-resources",
		Doc: policy.Doc{
			Title: "A kubelet may report only allowed extended resources, and not more of them",
			Text: "Pods that ask for a GPU go where one is reported. A kubelet that reports 64 draws them all, and " +
				"one that reports a resource which only trusted nodes have gets pods meant for those.",
			Kubelet: "A kubelet reports what device plugins register, zeroes it when they go, and drops it later. A " +
				"plugin that registers for the first time needs its resource in the list. A status update is denied as a whole: while " +
				"the kubelet reports what is not allowed, its Node cannot become Ready.",
			Attack: "curl -X PATCH -H 'Content-Type: application/merge-patch+json' .../api/v1/nodes/$NODE/status -d " +
				`'{"status":{"capacity":{"nvidia.com/gpu":"64"}}}'`,
			Spec:   "spec.nodes.extendedResources",
			Fields: []string{"status.capacity", "status.allocatable"},
			Since:  "v0.1.0",
			Source: "kubernetes v1.37.2 pkg/kubelet/nodestatus/setters.go, pkg/apis/core/v1/helper " +
				"(IsExtendedResourceName)",
		},
		Targets: nodeStatusWrites(),
		Agents:  sameForAgents(nodeStatusWrites()),
		Compile: compileNodeExtendedResources,
		CEL:     exactly(expressNodeExtendedResources),
	}
}

func compileNodeExtendedResources(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) (policy.Check, field.ErrorList) {
	cfg := spec.Nodes.ExtendedResources
	if cfg == nil {
		return nil, nil
	}
	at = at.Child("nodes", "extendedResources", "allowed")
	if errs := pattern.CheckList(cfg.Allowed, 64, at); errs != nil {
		return nil, errs
	}
	var errs field.ErrorList
	allowed := make(pattern.Patterns, len(cfg.Allowed))
	for i, source := range cfg.Allowed {
		var bad field.ErrorList
		allowed[i], bad = pattern.Compile(source.Name, at.Index(i).Child("name"))
		errs = append(errs, bad...)
		if source.Max != nil && *source.Max < 0 {
			errs = append(errs, field.Invalid(at.Index(i).Child("max"), *source.Max, "must not be negative"))
		}
	}
	mayReport := func(name string, quantity resource.Quantity) bool {
		for i, p := range allowed {
			if p.Match(name) && (cfg.Allowed[i].Max == nil || quantity.CmpInt64(*cfg.Allowed[i].Max) <= 0) {
				return true
			}
		}
		return false
	}
	if forAgents(spec) {
		isOthers := func(name string) bool { return !isExtendedResource(name) }
		return compileAgentQuantities(allowed.Match, isOthers, mayReport), errs
	}
	refused := func(old, updated map[string]pattern.QuantityText) []string {
		return grown(old, updated, func(name string, quantity resource.Quantity) bool {
			return !isExtendedResource(name) || mayReport(name, quantity)
		})
	}
	return func(r *policy.Request) []policy.Violation {
		vs := appendViolation(nil, "status.allocatable", "must not report allocatable", refused(r.Node().Allocatable().Change()))
		return appendViolation(vs, "status.capacity", "must not report capacity", refused(r.Node().Capacity().Change()))
	}, errs
}

// isExtendedResource reports whether a resource is not one of Kubernetes itself, which have no domain, or one under kubernetes.io. Other
// names without a domain are extended.
func isExtendedResource(name string) bool {
	domain, _, found := strings.Cut(name, "/")
	switch {
	case found:
		return !isUnder(domain, "kubernetes.io")
	case strings.HasPrefix(name, "hugepages-"), strings.HasPrefix(name, "attachable-volumes-"):
		return false
	}
	return name != "cpu" && name != "memory" && name != "pods" && name != "ephemeral-storage" && name != "storage"
}

func expressNodeExtendedResources(spec *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	return expressQuantities(on, func(key, text string) string {
		either := []string{expression.Not(extendedResourceIn(key))}
		for _, allowed := range spec.Nodes.ExtendedResources.Allowed {
			may := expression.Matches(key, []v1alpha1.Pattern{allowed.Name})
			if allowed.Max != nil {
				may = expression.And(may, expression.AtMost(text, quote(strconv.FormatInt(*allowed.Max, 10))))
			}
			either = append(either, may)
		}
		return expression.Or(either...)
	})
}

// extendedResourceIn is [isExtendedResource] in CEL.
func extendedResourceIn(key string) string {
	return expression.If(key+".contains('/')", "!"+key+`.matches('^([^/]*\\.)?kubernetes\\.io/')`, expression.Not(expression.Or(
		key+".startsWith('hugepages-')", key+".startsWith('attachable-volumes-')",
		expression.In(key, "cpu", "memory", "pods", "ephemeral-storage", "storage"))))
}
