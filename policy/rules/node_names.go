// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
	"noderestriction.plus/policy/pattern"
)

func nodeNames() policy.Rule {
	return policy.Rule{
		ID: "node-names",
		Doc: policy.Doc{
			Title: "A kubelet may register a Node only under an allowed name, which is not generated",
			Text: "An attacker who can obtain node credentials registers Nodes of any name; a generated name " +
				"passes the checks that compare names.",
			Kubelet: "A kubelet registers the Node of its name, and never has a name generated.",
			Attack:  "kubectl --kubeconfig kubelet.conf create -f node-with-generate-name.yaml",
			Spec:    "spec.nodes.names",
			Fields:  []string{"metadata.name", "metadata.generateName"},
			Since:   "v0.1.0",
			Source:  "kubernetes v1.37.2 pkg/kubelet/kubelet_node_status.go",
		},
		Targets: nodeRegistrations(),
		Warn: func(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) []string {
			if spec.Nodes.Names == nil {
				return nil
			}
			return warnUnreachable(spec.Nodes.Names.Allowed, pattern.NodeNames(), at.Child("nodes", "names", "allowed"))
		},
		Agents:  kubeletsOnly("kubelets alone register Nodes"),
		Compile: compileNodeNames,
		CEL:     stock(expressNodeNames),
	}
}

func compileNodeNames(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) (policy.Check, field.ErrorList) {
	cfg := spec.Nodes.Names
	if cfg == nil {
		return nil, nil
	}
	allowed, errs := pattern.CompileAll(cfg.Allowed, 64, at.Child("nodes", "names", "allowed"))
	errs = append(errs, checkSomeReachable(cfg.Allowed, 64, pattern.NodeNames(), at.Child("nodes", "names", "allowed"))...)
	return func(r *policy.Request) []policy.Violation {
		var vs []policy.Violation
		if r.Node().GenerateName().New() != "" {
			vs = append(vs, policy.Violation{Field: "metadata.generateName", Detail: "must not have its name generated"})
		}
		if name := r.Node().Name().New(); len(allowed) > 0 && !allowed.Match(name) {
			vs = append(vs, policy.Violation{Field: "metadata.name", Detail: "must not be named " + text.Quote(name)})
		}
		return vs
	}, errs
}

func expressNodeNames(spec *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	name := on.New("metadata.name", "''")
	expressions := []expression.Expression{
		when("metadata.generateName", "must not have its name generated", on.New("metadata.generateName", "''")+" != ''"),
	}
	if allowed := spec.Nodes.Names.Allowed; len(allowed) > 0 {
		expressions = append(expressions, when("metadata.name", "must not have this name", expression.Not(expression.Matches(name, allowed))))
	}
	return expressions
}
