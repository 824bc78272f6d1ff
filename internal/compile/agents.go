// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
)

// agentGap is why an API server does not evaluate most rules for node agents.
const agentGap = "of a policy for node agents, an API server evaluates only self and objects"

// forAgents reports whether the policy is for node agents.
func (c *compilation) forAgents() bool { return c.policy.Spec.Subjects != nil }

// IsAgent says in CEL that the client is one of the subjects of a valid policy. It never ends in an error.
func IsAgent(subjects *v1alpha1.Subjects) string {
	var users []string
	for _, account := range subjects.ServiceAccounts {
		users = append(users, expression.ServiceAccountPrefix+account.Namespace+":"+account.Name)
	}
	either := []string{expression.In(userName, users...)}
	for _, prefix := range subjects.UsernamePrefixes {
		either = append(either, userName+".startsWith("+expression.Quote(string(prefix))+")")
	}
	return expression.Or(either...)
}

// expressible returns how much of a rule CEL expresses in the policy.
func (c *compilation) expressible(rule *policy.Rule, scope *expression.Scope) policy.Expressible {
	if c.forAgents() && !rule.Agents.CEL {
		return policy.NotAtAll
	}
	return rule.CEL.Under(&c.policy.Spec, scope)
}

// withoutNode returns the validation that denies a node agent whose credential names no node, unless the policy allows it.
func (c *compilation) withoutNode(scope *expression.Scope) []validation {
	if !c.forAgents() || c.policy.Spec.Subjects.WithoutNode == v1alpha1.AccessAllow {
		return nil
	}
	e := expression.Expression{
		Message: mustNameNode, Violates: scope.NodeName() + " == ''",
	}
	return []validation{{policy.WithoutNode, scope.Define("withoutNode1", e.Violates), e}}
}
