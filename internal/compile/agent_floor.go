// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"fmt"
	"slices"
	"strings"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
)

// mustNameNode is what the credential of a node agent must do.
const mustNameNode = "must use a credential that names its node"

// AgentFloor is what the chart needs for a ValidatingAdmissionPolicy that binds node agents to their node, whatever the policies say.
type AgentFloor struct {
	// Node is the name of the agent's node in CEL, for the variable node. It is empty if the agent's credential names no node.
	Node string `json:"node"`
	// WithoutNode is the message about such a credential.
	WithoutNode string `json:"withoutNode"`
	// Writes are the writes that Rules are about, as in the match constraints of a policy: by resource, the operations.
	Writes map[string][]string `json:"writes"`
	// Variables are those that the expressions read, except node.
	Variables []FloorVariable `json:"variables"`
	Rules     []FloorRule     `json:"rules"`
	// Objects is the same for the objects of other kinds, whose node is at [ObjectPath].
	Objects FloorObjects `json:"objects"`
}

// FloorVariable is a variable of a ValidatingAdmissionPolicy.
type FloorVariable struct {
	Name       string `json:"name"`
	Expression string `json:"expression"`
}

// FloorRule is a rule with what violates it, in CEL.
type FloorRule struct {
	Rule     policy.RuleID `json:"rule"`
	Message  string        `json:"message"`
	Violates string        `json:"violates"`
}

// FloorObjects is a [FloorRule] with its variables.
type FloorObjects struct {
	FloorRule
	Variables []FloorVariable `json:"variables"`
}

// ObjectPath stands for the path of the field with the name of the node, also at the end of the names of variables.
const ObjectPath = "objectPath"

// NewAgentFloor returns the floor of node agents, given all rules. It returns an error if a rule of the floor cannot be expressed.
func NewAgentFloor(rules []policy.Rule) (*AgentFloor, error) {
	spec := &v1alpha1.NodeRestrictionPolicySpec{
		Subjects: &v1alpha1.Subjects{},
		Nodes:    v1alpha1.NodeRules{Self: &v1alpha1.NodeSelf{}},
		Pods:     v1alpha1.PodRules{Self: &v1alpha1.PodSelf{}},
		Objects:  []v1alpha1.ObjectsOfNode{{Resource: "objects", Node: ObjectPath}},
	}
	floor := &AgentFloor{Node: expression.AgentNode(), WithoutNode: mustNameNode, Writes: map[string][]string{}}
	for _, id := range []policy.RuleID{"node-self", "pod-self"} {
		rule, kinds, err := floor.add(spec, rules, id, &floor.Variables, true)
		if err != nil {
			return nil, err
		}
		floor.Rules = append(floor.Rules, rule)
		for _, w := range kinds {
			resource := strings.TrimSuffix(w.Resource+"/"+w.Subresource, "/")
			floor.Writes[resource] = append(floor.Writes[resource], w.Operation)
		}
	}
	rule, _, err := floor.add(spec, rules, "objects", &floor.Objects.Variables, false)
	floor.Objects.FloorRule = rule
	return floor, err
}

// add returns a rule of the floor, and the kinds of writes that it is about, and adds the variables that it reads.
func (f *AgentFloor) add(
	spec *v1alpha1.NodeRestrictionPolicySpec, rules []policy.Rule, id policy.RuleID, variables *[]FloorVariable, byResource bool,
) (FloorRule, []Write, error) {
	at := slices.IndexFunc(rules, func(r policy.Rule) bool { return r.ID == id })
	if at < 0 || !rules[at].Agents.CEL {
		return FloorRule{}, nil, fmt.Errorf("rule %s: cannot be expressed for node agents", id)
	}
	rule := &rules[at]
	kinds := writesUnder(rules[at:at+1], spec)
	out := FloorRule{Rule: id}
	var violations []string
	var about []Write
	for _, w := range kinds {
		scope := &expression.Scope{Resource: w.Resource, Subresource: w.Subresource, Operation: w.Operation, Agents: true}
		if rule.CEL.Under(spec, scope) != policy.Exactly {
			continue // an eviction, which does not contain the pod
		}
		var violated []string
		for _, e := range rule.CEL.Express(spec, scope) {
			out.Message = e.Message
			violated = append(violated, e.Violated())
		}
		is := "request.operation == " + expression.Quote(w.Operation)
		if byResource {
			is = w.Is(kinds)
		} else if w.Subresource != "" {
			continue // as of the object itself
		}
		about = append(about, w)
		violations = append(violations, expression.And(is, "("+expression.Or(violated...)+")"))
		for _, v := range scope.Variables() {
			if v.Name == "node" {
				continue
			}
			if !slices.ContainsFunc(*variables, func(have FloorVariable) bool { return have.Name == v.Name }) {
				*variables = append(*variables, FloorVariable{v.Name, v.Expression})
			}
		}
	}
	out.Violates = expression.Or(violations...)
	if byResource { // there may be objects of another group that are called nodes
		out.Violates = "request.resource.group == '' && (" + out.Violates + ")"
	}
	return out, about, nil
}
