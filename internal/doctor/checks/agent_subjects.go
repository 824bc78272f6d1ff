// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/nodeauthorizer"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/internal/wiring"
)

func agentSubjects() Check {
	return Check{
		ID: "agent-subjects", Severity: nodeauthorizer.High, Worst: Bad,
		Asks: "Does each policy for node agents name accounts that agents use, and does the webhook get their writes?",
		Gain: "writes the objects of other nodes with the token of an agent, although a policy seems to forbid it",
		How: "It reads the subjects of all policies. A service account that does not exist, or that no pod uses, is bad, and so is one whose" +
			" writes no webhook of this product is sent, as the match conditions say. An account that pods of a Deployment use, too, is weak:" +
			" the policy denies what these write of other nodes. So is one whose pods have no token that names their node.",
		Needs: []authorization.Request{
			{Verb: "list", Group: "noderestriction.plus", Resource: "noderestrictionpolicies"},
			{Verb: "list", Group: "admissionregistration.k8s.io", Resource: "validatingwebhookconfigurations"},
			{Verb: "list", Resource: "pods"},
			{Verb: "list", Resource: "serviceaccounts"},
		},
		run: runAgentSubjects,
	}
}

// holders are the policies that name a service account. Their names are quoted.
type holders struct {
	sections map[section]bool // of the policies that deny on every node
	denying  []string
	// The policies that do not hold the account on every node: they only record, match some nodes, or are sent nothing.
	recording, matching, unsent []string
}

// denies reports whether a policy denies, by a section, what an agent writes of other nodes.
func (h *holders) denies(by section) bool { return h != nil && by != "" && h.sections[by] }

// holdersOf returns the policies that hold service accounts to their own node, by account.
func (s *Snapshot) holdersOf(f *Finding, policies []v1alpha1.NodeRestrictionPolicy) map[Account]*holders {
	all := map[Account]*holders{}
	sentKnown := false
	if slices.ContainsFunc(policies, forAgents) {
		_, sentKnown = known(s, f, &s.Validating)
	}
	for i := range policies {
		p := &policies[i]
		if p.Spec.Subjects == nil {
			continue
		}
		sections := sectionsOf(&p.Spec)
		for _, named := range p.Spec.Subjects.ServiceAccounts {
			account := Account{named.Namespace, named.Name}
			h := all[account]
			if h == nil {
				h = &holders{sections: map[section]bool{}}
				all[account] = h
			}
			into := &h.denying
			switch {
			case !slices.Contains(p.Spec.ValidationActions, v1alpha1.Deny):
				into = &h.recording
			case sentKnown && !s.sends(account.user()):
				into = &h.unsent
			case p.Spec.Match != nil:
				into = &h.matching
			default:
				maps.Copy(h.sections, sections)
			}
			*into = append(*into, text.Quote(p.Name))
		}
	}
	return all
}

// shortcomings says of each policy that names an account why it does not hold it on every node.
func (h *holders) shortcomings() string {
	var b strings.Builder
	for _, list := range []struct {
		names []string
		why   string
	}{
		{h.recording, "only records it"}, {h.unsent, "is not sent it by any webhook"}, {h.matching, "denies it on the nodes that it matches"},
	} {
		if len(list.names) > 0 {
			fmt.Fprintf(&b, "; policy %s %s", enumerate(list.names), list.why)
		}
	}
	return b.String()
}

func forAgents(p v1alpha1.NodeRestrictionPolicy) bool { return p.Spec.Subjects != nil }

// sectionsOf returns the sections of a policy that hold agents to their own node.
func sectionsOf(spec *v1alpha1.NodeRestrictionPolicySpec) map[section]bool {
	sections := map[section]bool{}
	if spec.Nodes.Self != nil {
		sections[ownNodes] = true
	}
	if spec.Pods.Self != nil {
		sections[ownPods] = true
	}
	for _, o := range spec.Objects {
		if o.APIGroup == "resource.k8s.io" && o.Resource == "resourceslices" {
			sections[ownObjects] = true
		}
	}
	return sections
}

// use is how pods use a service account.
type use struct {
	agents, others []string // quoted names of DaemonSets, and of other owners or pods; each once
	tokens         bool     // some pod has a token of it
}

// uses returns how pods use service accounts.
func uses(pods []Pod) map[Account]*use {
	all := map[Account]*use{}
	for i := range pods {
		p := &pods[i]
		account := Account{p.Namespace, p.Account}
		u := all[account]
		if u == nil {
			u = &use{}
			all[account] = u
		}
		u.tokens = u.tokens || p.Token
		name := "pod " + text.Quote(p.Name)
		if p.Owner != "" {
			name = text.Cut(p.Owner, 63) + " " + text.Quote(p.OwnerName)
		}
		into := &u.others
		if p.Owner == "DaemonSet" {
			into = &u.agents
		}
		if !slices.Contains(*into, name) && len(*into) < maxEvidence {
			*into = append(*into, name)
		}
	}
	return all
}

func runAgentSubjects(s *Snapshot, f *Finding) {
	policies, ok := known(s, f, &s.Policies)
	if !ok || !slices.ContainsFunc(policies, forAgents) {
		return
	}
	_, sentKnown := known(s, f, &s.Validating)
	pods, podsKnown := known(s, f, &s.Pods)
	existing, accountsKnown := known(s, f, &s.Accounts)
	by := uses(pods)
	for i := range policies {
		p := &policies[i]
		if p.Spec.Subjects == nil {
			continue
		}
		name := "NodeRestrictionPolicy " + text.Quote(p.Name)
		for n, named := range p.Spec.Subjects.ServiceAccounts {
			account := Account{named.Namespace, named.Name}
			at := indexed("spec.subjects.serviceAccounts", n)
			if sentKnown && !s.sends(account.user()) {
				f.notSent(name, at, text.Quote(account.String()))
			}
			switch {
			case accountsKnown && !slices.Contains(existing, account):
				f.bad(name, at, s.namesakes(by, account), "service account %s does not exist: the policy protects nothing with it",
					text.Quote(account.String()))
			case podsKnown:
				f.used(name, at, account, by[account], s.namesakes(by, account))
			}
		}
		for n := range p.Spec.Objects {
			if o := &p.Spec.Objects[n]; sentKnown && !s.sendsObjects(o) {
				f.notSent(name, indexed("spec.objects", n), text.Quote(strings.TrimSuffix(o.Resource+"."+o.APIGroup, ".")))
			}
		}
		for n, prefix := range p.Spec.Subjects.UsernamePrefixes {
			if sentKnown && !s.sendsPrefix(string(prefix)) {
				f.notSent(name, indexed("spec.subjects.usernamePrefixes", n), text.Quote(string(prefix)))
			}
		}
	}
}

func (f *Finding) notSent(policy, at, what string) {
	f.bad(policy, at, Fix{Note: "name it in the chart's value subjects, see docs/node-agents.md"},
		"no webhook is sent the writes of %s: the policy protects nothing with it", what)
}

// used adds evidence about how pods use an account that a policy names.
func (f *Finding) used(policy, at string, account Account, u *use, instead Fix) {
	quoted := text.Quote(account.String())
	switch {
	case u == nil:
		f.bad(policy, at, instead, "no pod uses service account %s: the policy protects nothing with it", quoted)
	case len(u.others) > 0 && len(u.agents) > 0:
		f.weak(policy, at, Fix{Note: "give the agents, or the others, a service account of their own"},
			"service account %s is that of %s, and also of %s, whose writes of other nodes the policy denies, too",
			quoted, enumerate(u.agents), enumerate(u.others))
	case len(u.others) > 0:
		f.weak(policy, at, instead, "service account %s is that of %s, and of no DaemonSet: the policy denies what it writes of other nodes",
			quoted, enumerate(u.others))
	case !u.tokens:
		f.weak(policy, at, Fix{Note: "let the pods mount a projected token, or set withoutNode to Allow"},
			"no pod of service account %s has a projected token, which names its node: what it uses instead is denied by default", quoted)
	}
}

// namesakes is the fix for an account that no pod uses: the accounts that agents of its namespace use.
func (s *Snapshot) namesakes(by map[Account]*use, account Account) Fix {
	var others []Account
	for other, u := range by {
		if other.Namespace == account.Namespace && len(u.agents) > 0 {
			others = append(others, other)
		}
	}
	if len(others) == 0 {
		return Fix{Note: "name the service account that the pods of the agent use; no DaemonSet has pods in this namespace"}
	}
	var names []string
	for _, other := range sortedAccounts(others) {
		names = append(names, text.Quote(other.String()))
	}
	return Fix{Note: "name the service account that the pods of the agent use; DaemonSets of this namespace use " + enumerate(names)}
}

// sends reports whether a webhook of this product is sent the writes of a user: its match conditions name the user in quotes.
func (s *Snapshot) sends(user string) bool {
	return s.sendsExpression(func(expression string) bool {
		return strings.Contains(expression, "'"+user+"'") || strings.Contains(expression, `"`+user+`"`)
	})
}

// sendsPrefix is like sends for users whose names begin with a prefix.
func (s *Snapshot) sendsPrefix(prefix string) bool {
	sent := regexp.MustCompile(`startsWith\(["']([^"']+)["']\)`)
	return s.sendsExpression(func(expression string) bool {
		return slices.ContainsFunc(sent.FindAllStringSubmatch(expression, maxEvidence), func(m []string) bool {
			return strings.HasPrefix(prefix, m[1])
		})
	})
}

func (s *Snapshot) sendsExpression(names func(expression string) bool) bool {
	return slices.ContainsFunc(s.agentWebhooks(), func(w *admissionregistrationv1.ValidatingWebhook) bool {
		return slices.ContainsFunc(w.MatchConditions, func(c admissionregistrationv1.MatchCondition) bool { return names(c.Expression) })
	})
}

// sendsObjects reports whether a webhook of this product is sent all kinds of writes of node agents to a resource.
func (s *Snapshot) sendsObjects(o *v1alpha1.ObjectsOfNode) bool {
	const create, update, remove = admissionregistrationv1.Create, admissionregistrationv1.Update, admissionregistrationv1.Delete
	for _, operation := range []admissionregistrationv1.OperationType{create, update, remove} {
		if !slices.ContainsFunc(s.agentWebhooks(), func(w *admissionregistrationv1.ValidatingWebhook) bool {
			return slices.ContainsFunc(w.Rules, func(r admissionregistrationv1.RuleWithOperations) bool {
				return (slices.Contains(r.APIGroups, "*") || slices.Contains(r.APIGroups, o.APIGroup)) &&
					(slices.Contains(r.Operations, operation) || slices.Contains(r.Operations, admissionregistrationv1.OperationAll)) &&
					slices.ContainsFunc(r.Resources, func(in string) bool { return wiring.ResourceMatches(in, o.Resource) })
			})
		}) {
			return false
		}
	}
	return true
}

// agentWebhooks returns the webhooks of this product for the writes of node agents.
func (s *Snapshot) agentWebhooks() []*admissionregistrationv1.ValidatingWebhook {
	var all []*admissionregistrationv1.ValidatingWebhook
	for i := range s.Validating.Value {
		for n := range s.Validating.Value[i].Webhooks {
			w := &s.Validating.Value[i].Webhooks[n]
			if strings.HasPrefix(w.Name, agentsWebhook) && strings.HasSuffix(w.Name, ourDomain) {
				all = append(all, w)
			}
		}
	}
	return all
}

// indexed is the path of an element of a list.
func indexed(path string, n int) string { return fmt.Sprintf("%s[%d]", path, n) }

// agentsWebhook begins the name of the webhook to which API servers send the writes of node agents.
const agentsWebhook = "agents"
