// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
	"noderestriction.plus/policy/pattern"
)

func nodeUnschedulable() policy.Rule {
	return policy.Rule{
		ID: "node-unschedulable",
		Doc: policy.Doc{
			Title: "A kubelet may not cordon or uncordon its Node",
			Text: "An administrator cordons a node that looks compromised. A kubelet that uncordons itself continues to " +
				"receive pods, with their secrets.",
			Kubelet: "A kubelet never writes spec.unschedulable. Talos workers cordon and uncordon themselves.",
			Attack:  `kubectl --kubeconfig kubelet.conf uncordon "$NODE"`,
			Spec:    "spec.nodes.unschedulable",
			Fields:  []string{"spec.unschedulable"},
			Since:   "v0.1.0",
			Source:  "kubernetes v1.37.2 pkg/kubelet/kubelet_node_status.go (initialNode)",
		},
		Targets: nodeSpecWrites(),
		Agents:  sameForAgents(nodeSpecWrites()),
		Compile: compileNodeUnschedulable,
		CEL:     stock(expressNodeUnschedulable),
	}
}

func compileNodeUnschedulable(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) (policy.Check, field.ErrorList) {
	cfg := spec.Nodes.Unschedulable
	if cfg == nil {
		return nil, nil
	}
	errs := pattern.CheckEnum(cfg.Changes, at.Child("nodes", "unschedulable", "changes"),
		v1alpha1.UnschedulableNone, v1alpha1.UnschedulableCordon, v1alpha1.UnschedulableAny)
	mayCordon := cfg.Changes == v1alpha1.UnschedulableCordon || cfg.Changes == v1alpha1.UnschedulableAny
	mayUncordon := cfg.Changes == v1alpha1.UnschedulableAny
	return func(r *policy.Request) []policy.Violation {
		was, is := r.Node().Unschedulable().Change()
		switch {
		case is && !was && !mayCordon:
			return []policy.Violation{{Field: "spec.unschedulable", Detail: "must not cordon the Node"}}
		case was && !is && !mayUncordon:
			return []policy.Violation{{Field: "spec.unschedulable", Detail: "must not uncordon the Node"}}
		}
		return nil
	}, errs
}

func expressNodeUnschedulable(spec *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	cfg := spec.Nodes.Unschedulable
	was, is := on.Both("spec.unschedulable", "false")
	var expressions []expression.Expression
	if cfg.Changes != v1alpha1.UnschedulableCordon && cfg.Changes != v1alpha1.UnschedulableAny {
		expressions = append(expressions, when("spec.unschedulable", "must not cordon the Node", expression.And(is, expression.Not(was))))
	}
	if cfg.Changes != v1alpha1.UnschedulableAny {
		expressions = append(expressions, when("spec.unschedulable", "must not uncordon the Node", expression.And(was, expression.Not(is))))
	}
	return expressions
}
