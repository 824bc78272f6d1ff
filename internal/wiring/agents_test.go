// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package wiring

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"noderestriction.plus/api/v1alpha1"
)

// agentWebhook returns the webhook of node agents with these other resources, of the group resource.k8s.io.
func agentWebhook(resources ...string) webhook {
	w := webhook{
		Name: "agents.noderestriction.plus", FailurePolicy: new(admissionregistrationv1.Ignore),
		Rules:           rules(admissionregistrationv1.ClusterScope, "nodes", "nodes/status"),
		MatchConditions: []admissionregistrationv1.MatchCondition{{Name: "agent", Expression: "request.userInfo.username in ['a']"}},
	}
	if len(resources) > 0 {
		for _, r := range resources {
			resources = append(resources, r+"/status")
		}
		objects := rules(admissionregistrationv1.AllScopes, resources...)[0]
		objects.APIGroups, objects.APIVersions = []string{"resource.k8s.io"}, []string{"*"}
		objects.Operations = append(objects.Operations, admissionregistrationv1.Delete)
		w.Rules = append(w.Rules, objects)
	}
	return w
}

// TestMissing compares what policies name with what a configuration sends.
func TestMissing(t *testing.T) {
	installed := func(accounts ...string) *Installed {
		return &Installed{Agents: &Agents{Accounts: accounts, Prefixes: []string{"system:ovn-node:"}}}
	}
	const awsNode = "system:serviceaccount:kube-system:aws-node"
	account := func(names ...string) *v1alpha1.Subjects {
		s := &v1alpha1.Subjects{}
		for _, name := range names {
			s.ServiceAccounts = append(s.ServiceAccounts, v1alpha1.ServiceAccount{Namespace: "kube-system", Name: name})
		}
		return s
	}
	var many []string
	for i := range 12 {
		many = append(many, fmt.Sprintf("agent-%02d", i))
	}
	slice := []v1alpha1.ObjectsOfNode{{APIGroup: "resource.k8s.io", Resource: "resourceslices", Node: "spec.nodeName"}}
	for name, test := range map[string]struct {
		installed *Installed
		have      []webhook
		subjects  *v1alpha1.Subjects
		objects   []v1alpha1.ObjectsOfNode
		want      []string
	}{
		"the account is sent": {installed: installed(awsNode), have: []webhook{agentWebhook()}, subjects: account("aws-node")},
		"another account is sent": {
			installed: installed(awsNode), have: []webhook{agentWebhook()}, subjects: account("aws-node", "kured"),
			want: []string{`service account "kube-system/kured"`},
		},
		"the account of another namespace is sent": {
			installed: installed("system:serviceaccount:default:aws-node"), have: []webhook{agentWebhook()}, subjects: account("aws-node"),
			want: []string{`service account "kube-system/aws-node"`},
		},
		"nothing was installed": {
			installed: &Installed{}, have: []webhook{agentWebhook()}, subjects: account("aws-node"),
			want: []string{`service account "kube-system/aws-node"`},
		},
		"the webhook was deleted": {
			installed: installed(awsNode), subjects: account("aws-node"), want: []string{`service account "kube-system/aws-node"`},
		},
		"the prefix is sent": {
			installed: installed(), have: []webhook{agentWebhook()}, subjects: &v1alpha1.Subjects{UsernamePrefixes: []v1alpha1.UsernamePrefix{"system:ovn-node:"}},
		},
		"a longer prefix is sent": {
			installed: installed(), have: []webhook{agentWebhook()}, subjects: &v1alpha1.Subjects{UsernamePrefixes: []v1alpha1.UsernamePrefix{"system:ovn-node:a:"}},
		},
		"only some users with the prefix are sent": {
			installed: installed(), have: []webhook{agentWebhook()}, subjects: &v1alpha1.Subjects{UsernamePrefixes: []v1alpha1.UsernamePrefix{"system:"}},
			want: []string{`users whose names begin with "system:"`},
		},
		"the objects are sent": {
			installed: installed(awsNode), have: []webhook{agentWebhook("resourceslices")}, subjects: account("aws-node"), objects: slice,
		},
		"other objects are sent": {
			installed: installed(awsNode), have: []webhook{agentWebhook("deviceclasses")}, subjects: account("aws-node"), objects: slice,
			want: []string{`objects "resourceslices.resource.k8s.io"`},
		},
		"a platform sends all resources": {
			installed: installed(awsNode), have: []webhook{agentWebhook("*")}, subjects: account("aws-node"), objects: slice,
		},
		"the policy is for kubelets": {installed: installed(), have: []webhook{agentWebhook()}},
		"many accounts are missing": {
			installed: installed(), have: []webhook{agentWebhook()}, subjects: account(many...),
			want: append(slices.Collect(func(yield func(string) bool) {
				for _, name := range many[:maxMissing] {
					if !yield(`service account "kube-system/` + name + `"`) {
						return
					}
				}
			}), "and 4 more"),
		},
	} {
		s := SendingOf(test.installed, test.have, nil)
		got := s.Missing(&v1alpha1.NodeRestrictionPolicySpec{Subjects: test.subjects, Objects: test.objects})
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: missing are %q, want %q", name, got, test.want)
		}
		if s.Fault() != "" {
			t.Errorf("%s: the fault is %q", name, s.Fault())
		}
	}
}

// TestAgentsFault changes the webhook of node agents, and others.
func TestAgentsFault(t *testing.T) {
	want := annotated([]webhook{agentWebhook(), rendered()[0]})
	installed := &Installed{Webhooks: want, Agents: &Agents{}}
	for name, test := range map[string]struct {
		change func(agents, gate *webhook)
		fault  string
	}{
		"nothing is changed":    {func(_, _ *webhook) {}, ""},
		"the condition changes": {func(a, _ *webhook) { a.MatchConditions[0].Expression = "false" }, "may not send all its writes"},
		"a rule is removed":     {func(a, _ *webhook) { a.Rules = nil }, "does not send CREATE of nodes"},
		"it refuses more":       {func(a, _ *webhook) { a.FailurePolicy = new(admissionregistrationv1.Fail) }, ""},
		"another webhook sends less": {
			func(_, g *webhook) { g.MatchConditions[0].Expression = "false" }, "",
		},
	} {
		agents, gate := agentWebhook(), rendered()[0]
		test.change(&agents, &gate)
		have := []webhook{agents, gate}
		s := SendingOf(installed, have, CompareWebhooks(want, have))
		if got := s.Fault(); (got == "") != (test.fault == "") || !strings.Contains(got, test.fault) {
			t.Errorf("%s: the fault is %q, want %q", name, got, test.fault)
		}
	}
}
