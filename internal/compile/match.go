// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"fmt"
	"maps"
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/internal/program"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
)

type operation = admissionv1.Operation

// userName is the name of the client in CEL.
const userName = "request.userInfo.?username.orValue('')"

// conditions returns the match conditions for a kind of write. It returns true if the policy must leave the kind out.
func (c *compilation) conditions(w write, kinds []write) ([]admissionregistrationv1.MatchCondition, bool) {
	isKubelet := userName + ".startsWith(" + expression.Quote(expression.UserPrefix) + ")"
	conditions := []admissionregistrationv1.MatchCondition{{Name: "kubelet", Expression: isKubelet}}
	add := func(name, e string) {
		if e != expression.True {
			// An API server may evaluate a condition although another one is false.
			conditions = append(conditions, admissionregistrationv1.MatchCondition{Name: name, Expression: expression.And(isKubelet, e)})
		}
	}
	if w == (write{"nodes", "", expression.Create}) {
		// The webhook itself must deny the probe.
		add("not-the-probe", expression.Or(userName+" != "+expression.Quote(expression.UserPrefix+program.Name+"-probe"),
			"!request.?dryRun.orValue(false)"))
	}
	if w.subresource == policy.AnySubresource {
		others := []string{""} // pods/* is also pods
		for _, other := range kinds {
			if other.resource == w.resource && other.operation == w.operation && other.subresource != "" && other != w {
				others = append(others, other.subresource)
			}
		}
		add("other-subresources", expression.Not(expression.In("request.?subResource.orValue('')", others...)))
	}
	match := c.policy.Spec.Match
	if match == nil {
		return conditions, false
	}
	node := fmt.Sprintf("request.userInfo.username.substring(%d)", len(expression.UserPrefix))
	if len(match.NodeNames) > 0 {
		add("node-names", expression.Matches(node, match.NodeNames))
	}
	add("exclude-node-names", expression.Not(expression.Matches(node, match.ExcludeNodeNames)))
	if match.NodeSelector == nil {
		return conditions, false
	}
	c.report.selector = true
	if w.resource != "nodes" {
		return conditions, c.options.Partial != Wider
	}
	object := "oldObject"
	if w.operation == expression.Create {
		object = "object"
	}
	selected := selects(match.NodeSelector, object+".?metadata.?labels.orValue({})")
	own := "request.?name.orValue('') == " + node
	if c.options.Partial == Wider {
		add("node-selector", expression.Or(expression.Not(own), selected))
	} else {
		add("node-selector", expression.And(own, selected))
	}
	return conditions, false
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
