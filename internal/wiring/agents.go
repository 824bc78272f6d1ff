// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package wiring

import (
	"fmt"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/text"
)

// partAgents is the webhook that sends the writes of node agents.
const partAgents = "agents"

const (
	serviceAccountPrefix = "system:serviceaccount:"
	// maxMissing is how many missing users and objects a text lists.
	maxMissing = 8
)

// Agents are the node agents whose writes were installed to be sent.
type Agents struct {
	// Accounts are user names, such as system:serviceaccount:kube-system:aws-node.
	Accounts []string `json:"accounts,omitempty"`
	// Prefixes begin user names.
	Prefixes []string `json:"prefixes,omitempty"`
}

// Sending is what API servers send of the writes of node agents. The zero value is nothing.
type Sending struct {
	agents Agents
	rules  []admissionregistrationv1.RuleWithOperations
	fault  string
}

// SendingOf returns what a configuration sends, given what was installed and in which ways the configuration differs from that.
func SendingOf(installed *Installed, have []admissionregistrationv1.ValidatingWebhook, differences []Difference) *Sending {
	at := slices.IndexFunc(have, func(w admissionregistrationv1.ValidatingWebhook) bool { return partOf(w.Name) == partAgents })
	if at < 0 || installed.Agents == nil {
		return &Sending{}
	}
	s := &Sending{agents: *installed.Agents, rules: have[at].Rules}
	for _, d := range differences {
		if d.Part == partAgents && d.Weaker {
			s.fault = d.Text
			break
		}
	}
	return s
}

// Fault says in which way the webhook of node agents sends less than was installed. It is empty if it sends all of that.
func (s *Sending) Fault() string { return s.fault }

// Missing returns what a policy names in its subjects and objects, and no webhook sends, as at most 10 texts of at most 320 bytes.
func (s *Sending) Missing(spec *v1alpha1.NodeRestrictionPolicySpec) []string {
	if spec.Subjects == nil {
		return nil
	}
	var missing []string
	for _, a := range spec.Subjects.ServiceAccounts {
		if !slices.Contains(s.agents.Accounts, serviceAccountPrefix+a.Namespace+":"+a.Name) {
			missing = append(missing, "service account "+text.Quote(a.Namespace+"/"+a.Name))
		}
	}
	for _, prefix := range spec.Subjects.UsernamePrefixes {
		if !slices.ContainsFunc(s.agents.Prefixes, func(sent string) bool { return strings.HasPrefix(string(prefix), sent) }) {
			missing = append(missing, "users whose names begin with "+text.Quote(string(prefix)))
		}
	}
	for _, o := range spec.Objects {
		if !s.sends(o.APIGroup, o.Resource) {
			missing = append(missing, "objects "+text.Quote(strings.TrimSuffix(o.Resource+"."+o.APIGroup, ".")))
		}
	}
	if left := len(missing) - maxMissing; left > 0 {
		missing = append(missing[:maxMissing], fmt.Sprintf("and %d more", left))
	}
	return missing
}

// sends reports whether all kinds of writes of a resource, and of its status, are sent.
func (s *Sending) sends(group, resource string) bool {
	const create, update, remove = admissionregistrationv1.Create, admissionregistrationv1.Update, admissionregistrationv1.Delete
	return s.sendsWrite(group, resource, create) && s.sendsWrite(group, resource, update) && s.sendsWrite(group, resource, remove) &&
		s.sendsWrite(group, resource+"/status", update)
}

func (s *Sending) sendsWrite(group, resource string, operation admissionregistrationv1.OperationType) bool {
	return slices.ContainsFunc(s.rules, func(r admissionregistrationv1.RuleWithOperations) bool {
		return has(r.APIGroups, group) &&
			(slices.Contains(r.Operations, operation) || slices.Contains(r.Operations, admissionregistrationv1.OperationAll)) &&
			slices.ContainsFunc(r.Resources, func(in string) bool { return ResourceMatches(in, resource) })
	})
}
