// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/rbac"
	"noderestriction.plus/internal/text"
)

// evaluator returns an evaluator of the RBAC of the cluster, if all of it is known.
func (s *Snapshot) evaluator(f *Finding) (*rbac.Evaluator, bool) {
	all := &rbac.Snapshot{}
	var ok [4]bool
	all.ClusterRoles, ok[0] = known(s, f, &s.ClusterRoles)
	all.ClusterRoleBindings, ok[1] = known(s, f, &s.ClusterRoleBindings)
	all.Roles, ok[2] = known(s, f, &s.Roles)
	all.RoleBindings, ok[3] = known(s, f, &s.RoleBindings)
	if ok != [4]bool{true, true, true, true} {
		return nil, false
	}
	return rbac.New(all), true
}

// rbacNeeds are the permissions to read RBAC.
func rbacNeeds(more ...authorization.Request) []authorization.Request {
	var needs []authorization.Request
	for _, resource := range []string{"clusterroles", "clusterrolebindings", "roles", "rolebindings"} {
		needs = append(needs, authorization.Request{Verb: "list", Group: rbacv1.GroupName, Resource: resource})
	}
	return append(needs, more...)
}

// Kinds of subjects.
type kind int

const (
	person     kind = iota // a user or a group: anyone who administers the cluster chose to trust it
	controller             // a service account of kube-controller-manager, whose tokens no node has
	account                // another service account, whose token is on the nodes of its pods
	crowd                  // all kubelets, all service accounts, everybody
)

// controllers are the service accounts of kube-controller-manager that have what checks look for.
func controllers() []string {
	return []string{
		"certificate-controller", "generic-garbage-collector", "namespace-controller", "storage-version-migrator-controller",
		"clusterrole-aggregation-controller",
	}
}

func kindOf(subject *rbacv1.Subject, namespace string) kind {
	switch subject.Kind {
	case rbacv1.ServiceAccountKind:
		if cmp.Or(subject.Namespace, namespace) == "kube-system" && slices.Contains(controllers(), subject.Name) {
			return controller
		}
		return account
	case rbacv1.GroupKind:
		for _, prefix := range []string{"system:serviceaccounts:", "system:bootstrappers"} {
			if strings.HasPrefix(subject.Name, prefix) {
				return crowd
			}
		}
		if slices.Contains(crowds(), subject.Name) {
			return crowd
		}
	case rbacv1.UserKind:
		if rest, found := strings.CutPrefix(subject.Name, "system:serviceaccount:"); found {
			namespace, name, _ := strings.Cut(rest, ":")
			return kindOf(&rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name}, "")
		}
		for _, prefix := range []string{authorization.NodeUserPrefix, "system:bootstrap:"} {
			if strings.HasPrefix(subject.Name, prefix) {
				return crowd
			}
		}
		if subject.Name == anonymousUser {
			return crowd
		}
	}
	return person
}

const (
	anonymousUser        = "system:anonymous"
	unauthenticatedGroup = "system:unauthenticated"
	bootstrappersGroup   = "system:bootstrappers"
)

// crowds are groups in which anyone who has stolen something is, too.
func crowds() []string {
	return []string{authorization.NodesGroup, authorization.AuthenticatedGroup, unauthenticatedGroup, "system:serviceaccounts"}
}

func subjectName(s *rbacv1.Subject, namespace string) string {
	name := s.Name
	if s.Kind == rbacv1.ServiceAccountKind {
		name = cmp.Or(s.Namespace, namespace) + "/" + name
	}
	return s.Kind + " " + text.Quote(name)
}

func bindingName(h *rbac.Grant) string {
	name := h.Binding
	if h.BindingNamespace != "" {
		name = h.BindingNamespace + "/" + name
	}
	return h.BindingKind + " " + text.Quote(name)
}

// subjectsField names subjects of a binding by their indices.
func subjectsField(indices []int) string {
	var fields []string
	for i, index := range indices {
		if i == 8 {
			fields = append(fields, "...")
			break
		}
		fields = append(fields, fmt.Sprintf("subjects[%d]", index))
	}
	return strings.Join(fields, ", ")
}

// power is something that a subject may do by RBAC.
type power struct {
	does string // for a sentence that begins with the subject
	// rules must each be held by the subject; the first is that whose bindings are shown.
	rules []func(namespace string, rule *rbacv1.PolicyRule) bool
	// trusted are subjects that have it on purpose.
	trusted func(*rbacv1.Subject, *rbac.Holding) bool
	// weak are crowds for which it is not bad, but weak.
	weak func(*rbacv1.Subject) bool
}

// allows returns whether a rule allows a request in the whole cluster, or in the namespace of the request.
func allows(r authorization.Request) func(string, *rbacv1.PolicyRule) bool {
	return func(namespace string, rule *rbacv1.PolicyRule) bool {
		return (namespace == "" || namespace == r.Namespace) && rbac.RuleAllows(rule, &r)
	}
}

// anyOf returns whether a rule allows one of several requests.
func anyOf(requests ...authorization.Request) func(string, *rbacv1.PolicyRule) bool {
	return func(namespace string, rule *rbacv1.PolicyRule) bool {
		return slices.ContainsFunc(requests, func(r authorization.Request) bool { return allows(r)(namespace, rule) })
	}
}

// who finds out who has a power. Crowds are bad, and so are service accounts whose tokens every node has; other service
// accounts are weak, and persons are noted.
func (f *Finding) who(s *Snapshot, e *rbac.Evaluator, p *power) {
	holders := make([]map[string]bool, len(p.rules))
	for i := 1; i < len(p.rules); i++ {
		holders[i] = map[string]bool{}
		for _, h := range e.Holdings(p.rules[i]) {
			for n := range h.Subjects {
				holders[i][subjectName(&h.Subjects[n], h.BindingNamespace)] = true
			}
		}
	}
	agents := s.agents()
	persons := map[string]bool{}
	for _, h := range e.Holdings(p.rules[0]) {
		var bad, weak []int
		var names []string
		for n := range h.Subjects {
			subject := &h.Subjects[n]
			name := subjectName(subject, h.BindingNamespace)
			if slices.ContainsFunc(holders[1:], func(has map[string]bool) bool { return !has[name] }) ||
				p.trusted != nil && p.trusted(subject, &h) {
				continue
			}
			switch kindOf(subject, h.BindingNamespace) {
			case person:
				persons[name] = true
				continue
			case controller:
				continue
			case crowd:
				if p.weak != nil && p.weak(subject) {
					weak = append(weak, n)
				} else {
					bad = append(bad, n)
				}
			case account:
				if agents[name] {
					bad = append(bad, n)
					name += ", whose token every node has,"
				} else {
					weak = append(weak, n)
				}
			}
			names = append(names, name)
		}
		indices := slices.Sorted(slices.Values(append(bad, weak...)))
		if len(indices) == 0 {
			continue
		}
		add := f.weak
		if len(bad) > 0 {
			add = f.bad
		}
		fix := unbind(&h, indices)
		if len(bad) == 0 {
			fix.Note = "if these pods need it, keep them on nodes that you trust, and remove nothing"
		}
		add(bindingName(&h.Grant), subjectsField(indices), fix, "%s %s, by %s %s, rules[%d]%s", enumerate(names), p.does,
			h.RoleKind, text.Quote(h.Role), h.Rule, from(&h))
	}
	if len(persons) > 0 {
		names := make([]string, 0, len(persons))
		for name := range persons {
			names = append(names, name)
		}
		slices.Sort(names)
		f.note("%s %s too, which is for you to know", enumerate(names), p.does)
	}
}

// from names the ClusterRole from which an aggregated one has the rule.
func from(h *rbac.Holding) string {
	if part := h.AggregatedFrom(h.Rule); part != "" {
		return ", aggregated from " + text.Quote(part)
	}
	return ""
}

// enumerate lists a few names, which must be quoted, and counts the rest.
func enumerate(names []string) string {
	const shown = 4
	if len(names) <= shown {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), len(names)-shown)
}

// agents returns the service accounts of DaemonSets that run on other nodes than those of the control plane, by their names as
// subjects. It is empty if DaemonSets are not known.
func (s *Snapshot) agents() map[string]bool {
	all := map[string]bool{}
	if s.DaemonSets.Unknown != nil {
		return all
	}
	for i := range s.DaemonSets.Value {
		d := &s.DaemonSets.Value[i]
		if pod := &d.Spec.Template.Spec; !onControlPlane(pod) {
			subject := rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: d.Namespace, Name: cmp.Or(pod.ServiceAccountName, "default")}
			all[subjectName(&subject, "")] = true
		}
	}
	return all
}
