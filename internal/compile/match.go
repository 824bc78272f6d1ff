// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"maps"
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/program"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
)

type operation = admissionv1.Operation

// userName is the name of the client in CEL.
const userName = "request.userInfo.?username.orValue('')"

// conditions returns the match conditions for a kind of write. It returns true if the policy must leave the kind out.
func (c *compilation) conditions(w Write, kinds []Write) ([]admissionregistrationv1.MatchCondition, bool) {
	isClient, name, node := userName+".startsWith("+expression.Quote(expression.UserPrefix)+")", "kubelet", nodeOfUser
	if c.forAgents() {
		isClient, name, node = IsAgent(c.policy.Spec.Subjects), "agent", expression.AgentNode()
	}
	conditions := []admissionregistrationv1.MatchCondition{{Name: name, Expression: isClient}}
	add := func(name, e string) {
		if e != expression.True {
			// An API server may evaluate a condition although another one is false.
			conditions = append(conditions, admissionregistrationv1.MatchCondition{Name: name, Expression: expression.And(isClient, e)})
		}
	}
	// mayBe is for conditions on the node: an agent without one may be on any.
	mayBe := func(e string) string {
		if !c.forAgents() || e == expression.True {
			return e
		}
		return expression.Or(node+" == ''", e)
	}
	if !c.forAgents() && w == (Write{"nodes", "", expression.Create}) {
		// The webhook itself must deny the probe.
		add("not-the-probe", expression.Or(userName+" != "+expression.Quote(expression.UserPrefix+program.Name+"-probe"),
			"!request.?dryRun.orValue(false)"))
	}
	if w.Subresource == policy.AnySubresource {
		add("other-subresources", expression.Not(expression.In("request.?subResource.orValue('')", w.named(kinds)...)))
	}
	match := c.policy.Spec.Match
	if match == nil {
		return conditions, false
	}
	included, excluded := names(match, node)
	add("node-names", mayBe(included))
	add("exclude-node-names", mayBe(expression.Not(excluded)))
	if match.NodeSelector == nil {
		return conditions, false
	}
	c.report.selector = true
	if w.Resource != "nodes" {
		return conditions, c.options.Partial != Wider
	}
	own, selected := selectedNode(match.NodeSelector, w, node)
	if c.options.Partial == Wider {
		add("node-selector", mayBe(expression.Or(expression.Not(own), selected)))
	} else {
		add("node-selector", mayBe(expression.And(own, selected)))
	}
	return conditions, false
}

// nodeOfUser is the name of the kubelet's node in CEL.
const nodeOfUser = "request.userInfo.username.substring(12)" // after [expression.UserPrefix]

// names says that a policy includes, and that it excludes, the name of the client's node.
func names(match *v1alpha1.Match, node string) (included, excluded string) {
	included = expression.True
	if len(match.NodeNames) > 0 {
		included = expression.Matches(node, match.NodeNames)
	}
	return included, expression.Matches(node, match.ExcludeNodeNames)
}

// selectedNode says that a write of a Node is of the client's own, and that a selector selects its labels before the write.
func selectedNode(selector *metav1.LabelSelector, w Write, node string) (own, selected string) {
	object := "oldObject"
	if w.Operation == expression.Create {
		object = "object"
	}
	return "request.?name.orValue('') == " + node, selects(selector, object+".?metadata.?labels.orValue({})")
}

// selects says that a valid selector matches labels.
func selects(selector *metav1.LabelSelector, labels string) string {
	value := func(key string) string { return labels + "[?" + expression.Quote(key) + "]" }
	is := func(key string, values ...string) string {
		return expression.And(value(key)+".hasValue()", expression.In(value(key)+".orValue('')", values...))
	}
	var all []string
	for _, key := range slices.Sorted(maps.Keys(selector.MatchLabels)) {
		all = append(all, is(key, selector.MatchLabels[key]))
	}
	for _, e := range selector.MatchExpressions {
		switch e.Operator {
		case metav1.LabelSelectorOpIn:
			all = append(all, is(e.Key, e.Values...))
		case metav1.LabelSelectorOpNotIn:
			all = append(all, expression.Not(is(e.Key, e.Values...)))
		case metav1.LabelSelectorOpExists:
			all = append(all, value(e.Key)+".hasValue()")
		case metav1.LabelSelectorOpDoesNotExist:
			all = append(all, "!"+value(e.Key)+".hasValue()")
		}
	}
	return expression.And(all...)
}
