// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rights

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy/pattern"
)

// hold notes which policies hold the accounts to a node, which of those that name them do not, and how held accounts get around it.
func hold(agents []*Agent, node string, policies []v1alpha1.NodeRestrictionPolicy) {
	byAccount := map[string]*Agent{}
	for _, a := range agents {
		byAccount[a.key] = a
	}
	ownPods := map[string]bool{}
	for i := range policies {
		p := &policies[i]
		sections := selfSections(&p.Spec)
		if p.Spec.Subjects == nil || len(sections) == 0 {
			continue
		}
		why, remarks := notHeld(p, node)
		name := "NodeRestrictionPolicy " + text.Quote(text.Cut(p.Name, maxReason))
		for _, account := range p.Spec.Subjects.ServiceAccounts {
			a := byAccount[account.Namespace+"/"+account.Name]
			switch {
			case a == nil:
			case why != "":
				a.NotHeldBy = append(a.NotHeldBy, fmt.Sprintf("%s (%s)", name, why))
			default:
				a.HeldBy = append(a.HeldBy, fmt.Sprintf("%s (%s)", name, strings.Join(slices.Concat(sections, []string{"denied"}, remarks), ", ")))
				ownPods[a.key] = ownPods[a.key] || p.Spec.Pods.Self != nil
			}
		}
	}
	for _, a := range agents {
		if len(a.HeldBy) > 0 {
			a.OtherNodes = a.otherNodes(ownPods[a.key])
		}
	}
}

// selfSections returns the sections of a policy that hold agents to their own node.
func selfSections(spec *v1alpha1.NodeRestrictionPolicySpec) []string {
	var sections []string
	if spec.Nodes.Self != nil {
		sections = append(sections, "nodes.self")
	}
	if spec.Pods.Self != nil {
		sections = append(sections, "pods.self")
	}
	if len(spec.Objects) > 0 {
		sections = append(sections, "objects")
	}
	return sections
}

// notHeld returns why a policy does not hold the agents of a node, and otherwise what limits it.
func notHeld(p *v1alpha1.NodeRestrictionPolicy, node string) (why string, remarks []string) {
	for _, condition := range []string{"Ready", "Sent"} {
		if p.Status != nil && meta.IsStatusConditionFalse(p.Status.Conditions, condition) {
			return "its condition " + condition + " is False", nil
		}
	}
	if !slices.Contains(p.Spec.ValidationActions, v1alpha1.Deny) {
		return "what it says is only recorded", nil
	}
	if match := p.Spec.Match; match != nil {
		switch matches, valid := matchesName(match, node); {
		case !valid:
			return "its match is invalid", nil
		case !matches:
			return "it is for other nodes", nil
		}
		if s := match.NodeSelector; s != nil && len(s.MatchLabels)+len(s.MatchExpressions) > 0 {
			remarks = append(remarks, "if its Node has the labels "+text.Printable(text.Cut(metav1.FormatLabelSelector(s), maxReason)))
		}
	}
	if p.Spec.Subjects.WithoutNode == v1alpha1.AccessAllow {
		remarks = append(remarks, "except with a token that names no node")
	}
	return "", remarks
}

// matchesName reports whether a policy may be for a node, by its name, and whether its patterns are valid.
func matchesName(match *v1alpha1.Match, node string) (matches, valid bool) {
	at := field.NewPath("spec", "match")
	names, bad := pattern.CompileAll(match.NodeNames, len(match.NodeNames), at)
	excluded, wrong := pattern.CompileAll(match.ExcludeNodeNames, len(match.ExcludeNodeNames), at)
	return (len(match.NodeNames) == 0 || names.Match(node)) && !excluded.Match(node), len(bad)+len(wrong) == 0
}

// otherNodes returns the permissions by which the account gets a token of itself that names another node. A policy that holds its pods to
// the node leaves it none to create or change pods elsewhere.
func (a *Agent) otherNodes(ownPods bool) []string {
	namespace, name, _ := strings.Cut(a.key, "/")
	var found []string
	for _, o := range a.grants.OtherNodes(namespace, name) {
		if !ownPods || !o.HeldByPods() {
			found = append(found, text.Printable(text.Cut(o.Request.String(), maxReason)))
		}
	}
	return found
}
