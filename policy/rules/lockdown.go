// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
)

// lockdown looks at every write that one of the other rules looks at, except leases: without them the node controller would evict
// the pods of the node, and so destroy what an investigation needs.
func lockdown(others []policy.Rule) policy.Rule {
	return policy.Rule{
		ID: "lockdown",
		Doc: policy.Doc{
			Title: "A kubelet whose node is compromised may write nothing",
			Text: "A client certificate cannot be revoked: anyone who copied it from a node can write with it until it expires. " +
				"A Node that was deleted registers again. docs/node-compromised.md says what else to do.",
			Kubelet: "A kubelet keeps its lease, and its heartbeats that change nothing are not sent to the webhook. All else that is " +
				"sent is denied: the node works no longer.",
			Attack: `kubectl --kubeconfig kubelet.conf patch node "$NODE" --subresource status --type merge ` +
				`-p '{"status":{"addresses":[]}}'`,
			Spec:   "spec.lockdown",
			Fields: []string{"metadata"},
			Since:  "v0.1.0",
			Source: "kubernetes/kubernetes#18982",
		},
		OptIn:   true,
		Targets: lockedWrites(others, func(rule *policy.Rule) []policy.Target { return rule.Targets }),
		Agents: policy.Agents{
			Targets:      lockedWrites(others, func(rule *policy.Rule) []policy.Target { return rule.Agents.Targets }),
			TargetsUnder: objectWrites,
		},
		Note:    staticPodKeepsRunning,
		Compile: compileLockdown,
		CEL:     exactly(expressLockdown),
	}
}

// lockedWrites are the writes that the rules look at, each once, except leases.
func lockedWrites(rules []policy.Rule, of func(*policy.Rule) []policy.Target) []policy.Target {
	var targets []policy.Target
	type write struct {
		resource, subresource string
		operation             admissionv1.Operation
	}
	seen := map[write]bool{}
	for i := range rules {
		for _, t := range of(&rules[i]) {
			for _, operation := range t.Operations {
				key := write{t.Resource, t.Subresource, operation}
				if t.Resource != "leases.coordination.k8s.io" && !seen[key] {
					seen[key] = true
					targets = append(targets, target(t.Resource, t.Subresource, operation))
				}
			}
		}
	}
	return targets
}

func compileLockdown(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) (policy.Check, field.ErrorList) {
	if spec.Lockdown == nil {
		return nil, nil
	}
	var errs field.ErrorList
	if spec.Match == nil || len(spec.Match.NodeNames) == 0 {
		errs = append(errs, field.Required(at.Child("match", "nodeNames"), "must name the nodes to lock down"))
	}
	return func(r *policy.Request) []policy.Violation {
		if r.NodeName == "" {
			return nil // a node agent that may be on any node: a violation of its own
		}
		return []policy.Violation{{Detail: "must not write anything"}}
	}, errs
}

func expressLockdown(*v1alpha1.NodeRestrictionPolicySpec, *expression.Scope) []expression.Expression {
	return []expression.Expression{when("", "must not write anything", expression.True)}
}
