// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/nodeauthorizer"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/internal/wiring"
)

func othersInPath() Check {
	return Check{
		ID: "others-in-path", Severity: nodeauthorizer.Medium, Worst: Bad,
		Asks: "Do no other webhooks change or block what kubelets write, and do other policies apply to kubelets?",
		Gain: "stops every kubelet by stopping one webhook, or writes what that webhook's policies deny to everybody else",
		How: "It reads all webhook configurations. One that is called for heartbeats (the status of Nodes, their leases) with" +
			" failurePolicy Fail is bad:" +
			" while it does not answer, all nodes become NotReady. One that mutates what kubelets write is weak. So is one that exempts" +
			" kubelets, as Kyverno's configuration does by default.",
		Needs: []authorization.Request{
			{Verb: "list", Group: admissionGroup, Resource: "validatingwebhookconfigurations"},
			{Verb: "list", Group: admissionGroup, Resource: "mutatingwebhookconfigurations"},
		},
		run: runOthersInPath,
	}
}

// webhook is what both kinds of webhooks have.
type webhook struct {
	object, field, name, kind, configuration string
	index                                    int
	rules                                    []admissionregistrationv1.RuleWithOperations
	fails, mutates                           bool
	conditions                               []admissionregistrationv1.MatchCondition
}

// write is a kind of write of kubelets.
type write struct{ group, version, resource, operation string }

func heartbeats() []write {
	return []write{
		{"", "v1", "nodes/status", "UPDATE"},
		{"coordination.k8s.io", "v1", "leases", "UPDATE"},
		{"", "v1", "pods/status", "UPDATE"},
		{"", "v1", "nodes", "CREATE"},
	}
}

func kubeletWrites() []write {
	return append(heartbeats(), write{"", "v1", "nodes", "UPDATE"}, write{"", "v1", "pods", "CREATE"})
}

func (w *write) matchedBy(rules []admissionregistrationv1.RuleWithOperations) bool {
	has := func(list []string, word string) bool {
		return slices.Contains(list, word) || slices.Contains(list, "*")
	}
	return slices.ContainsFunc(rules, func(r admissionregistrationv1.RuleWithOperations) bool {
		return has(r.APIGroups, w.group) && has(r.APIVersions, w.version) &&
			(slices.Contains(r.Operations, admissionregistrationv1.OperationType(w.operation)) ||
				slices.Contains(r.Operations, admissionregistrationv1.OperationAll)) &&
			slices.ContainsFunc(r.Resources, func(resource string) bool { return wiring.ResourceMatches(resource, w.resource) })
	})
}

func runOthersInPath(s *Snapshot, f *Finding) {
	validating, ok := known(s, f, &s.Validating)
	if ok {
		in := InstallOf(validating)
		for i := range validating {
			c := &validating[i]
			if in.Configuration != nil && c.Name == in.Configuration.Name {
				continue
			}
			for n := range c.Webhooks {
				w := &c.Webhooks[n]
				f.judgeWebhook(&webhook{
					name: w.Name, kind: "validatingwebhookconfiguration", configuration: c.Name, index: n, rules: w.Rules, conditions: w.MatchConditions,
					fails:  or(w.FailurePolicy, admissionregistrationv1.Fail) == admissionregistrationv1.Fail,
					object: "ValidatingWebhookConfiguration " + text.Quote(c.Name),
				})
			}
		}
	}
	mutating, ok := known(s, f, &s.Mutating)
	if ok {
		for i := range mutating {
			c := &mutating[i]
			for n := range c.Webhooks {
				w := &c.Webhooks[n]
				f.judgeWebhook(&webhook{
					name: w.Name, kind: "mutatingwebhookconfiguration", configuration: c.Name, index: n, rules: w.Rules, conditions: w.MatchConditions,
					fails: or(w.FailurePolicy, admissionregistrationv1.Fail) == admissionregistrationv1.Fail, mutates: true,
					object: "MutatingWebhookConfiguration " + text.Quote(c.Name),
				})
			}
		}
	}
	if groups, ok := known(s, f, &s.Kyverno); ok && slices.Contains(strings.FieldsFunc(groups, func(r rune) bool {
		return r == ',' || r == ' ' || r == '\n'
	}), authorization.NodesGroup) {
		f.weak(`ConfigMap "kyverno/kyverno"`, "data.excludeGroups", Fix{
			Note: "remove system:nodes with the value config.excludeGroups of Kyverno's chart, once its policies let kubelets pass",
		}, "Kyverno's policies do not apply to kubelets, nor to mirror pods")
	}
}

func (f *Finding) judgeWebhook(w *webhook) {
	w.field = fmt.Sprintf("webhooks[%d]", w.index)
	beats := slices.ContainsFunc(heartbeats(), func(is write) bool { return is.matchedBy(w.rules) })
	written := slices.ContainsFunc(kubeletWrites(), func(is write) bool { return is.matchedBy(w.rules) })
	exempts := slices.ContainsFunc(w.conditions, func(c admissionregistrationv1.MatchCondition) bool {
		return strings.Contains(c.Expression, "system:node")
	})
	name := text.Quote(w.name)
	except := w.exceptKubelets()
	switch {
	case !written, exempts && w.mutates:
	case exempts && slices.ContainsFunc(policyWrites(), func(is write) bool { return is.matchedBy(w.rules) }):
		f.weak(w.object, w.field+".matchConditions", Fix{Note: "ask whether its policies must apply to mirror pods and Nodes, too"},
			"webhook %s exempts kubelets", name)
	case exempts:
	case beats && w.fails:
		f.bad(w.object, w.field+".failurePolicy", except, "webhook %s is called for heartbeats or registrations: while it does not answer,"+
			" nodes become NotReady",
			name)
	case w.mutates && beats:
		f.weak(w.object, w.field+".rules", except, "webhook %s may change what kubelets write, and anyone who controls it, too", name)
	}
}

// policyWrites are what policies for workloads and Nodes are about.
func policyWrites() []write {
	return []write{{"", "v1", "nodes", "CREATE"}, {"", "v1", "pods", "CREATE"}}
}

// exceptKubelets is the fix that keeps the API server from calling a webhook for kubelets.
func (w *webhook) exceptKubelets() Fix {
	at := fmt.Sprintf("/webhooks/%d", w.index)
	condition := admissionregistrationv1.MatchCondition{
		Name: "exclude-kubelets", Expression: "!request.userInfo.username.startsWith('" + authorization.NodeUserPrefix + "')",
	}
	operation := patchOperation{"add", at + "/matchConditions/-", condition}
	if len(w.conditions) == 0 {
		operation = patchOperation{"add", at + "/matchConditions", []admissionregistrationv1.MatchCondition{condition}}
	}
	fix := jsonPatch(w.kind, "", w.configuration, []patchOperation{{"test", at + "/name", w.name}, operation})
	fix.Note = "where its operator or chart undoes that, exclude nodes, nodes/status, pods/status and leases from its rules there"
	return fix
}
