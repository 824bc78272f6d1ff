// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package rbac evaluates RBAC as the API server's RBAC authorizer does, except that it returns every grant, not just the first, with
// the rule that allows the request, and the ClusterRole from which an aggregated one has that rule. It needs no cluster.
package rbac

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"noderestriction.plus/internal/authorization"
)

// Kinds of roles and bindings.
const (
	ClusterRole        = "ClusterRole"
	Role               = "Role"
	ClusterRoleBinding = "ClusterRoleBinding"
	RoleBinding        = "RoleBinding"
)

// Snapshot is the RBAC of a cluster: all its roles and bindings. Of their metadata it needs names, namespaces and labels.
type Snapshot struct {
	ClusterRoles        []rbacv1.ClusterRole
	ClusterRoleBindings []rbacv1.ClusterRoleBinding
	Roles               []rbacv1.Role
	RoleBindings        []rbacv1.RoleBinding
}

// Evaluator answers who may do what by a [Snapshot]. It can be used by several goroutines.
type Evaluator struct {
	roles    map[types.NamespacedName]*role // ClusterRoles have no namespace
	labelled []*role                        // ClusterRoles with labels, by which others aggregate them
	bindings []binding
}

// role is a Role or a ClusterRole.
type role struct {
	name      string
	labels    labels.Set
	rules     []rbacv1.PolicyRule
	sources   []string // of the rules, if they are aggregated
	aggregate []metav1.LabelSelector
	resolved  bool
}

type binding struct {
	kind, namespace, name string
	role                  rbacv1.RoleRef
	subjects              []rbacv1.Subject
}

// Grant is the role that a binding gives to a user or a group.
type Grant struct {
	BindingKind, BindingNamespace, Binding string
	RoleKind, Role                         string
	Subject                                rbacv1.Subject // the first of the binding that the identity matches
	SubjectIndex                           int            // among the subjects of the binding, from 0
	role                                   *role
}

// Rules returns the rules of the role.
func (g *Grant) Rules() []rbacv1.PolicyRule {
	if g.role == nil {
		return nil
	}
	return g.role.rules
}

// AggregatedFrom returns the ClusterRole from which an aggregated one has a rule, by its index, or an empty text if none is known.
func (g *Grant) AggregatedFrom(rule int) string {
	if g.role == nil || rule >= len(g.role.sources) {
		return ""
	}
	return g.role.sources[rule]
}

// Dangling is a binding whose role does not exist.
type Dangling struct{ BindingKind, BindingNamespace, Binding, RoleKind, Role string }

// New returns an evaluator. It keeps what the snapshot refers to.
func New(s *Snapshot) *Evaluator {
	e := &Evaluator{roles: make(map[types.NamespacedName]*role, len(s.ClusterRoles)+len(s.Roles))}
	for i := range s.ClusterRoles {
		r := &s.ClusterRoles[i]
		added := &role{name: r.Name, labels: r.Labels, rules: r.Rules}
		if r.AggregationRule != nil {
			added.aggregate = r.AggregationRule.ClusterRoleSelectors
		}
		if len(r.Labels) > 0 {
			e.labelled = append(e.labelled, added)
		}
		e.roles[types.NamespacedName{Name: r.Name}] = added
	}
	for i := range s.Roles {
		r := &s.Roles[i]
		e.roles[types.NamespacedName{Namespace: r.Namespace, Name: r.Name}] = &role{name: r.Name, rules: r.Rules}
	}
	for _, r := range e.roles {
		e.resolve(r)
	}
	for i := range s.ClusterRoleBindings {
		b := &s.ClusterRoleBindings[i]
		e.bindings = append(e.bindings, binding{kind: ClusterRoleBinding, name: b.Name, role: b.RoleRef, subjects: b.Subjects})
	}
	for i := range s.RoleBindings {
		b := &s.RoleBindings[i]
		e.bindings = append(e.bindings, binding{
			kind: RoleBinding, namespace: b.Namespace, name: b.Name, role: b.RoleRef, subjects: b.Subjects,
		})
	}
	return e
}

// resolve finds out which ClusterRoles an aggregated one has its rules from. The API server fills in the rules. A manifest that it
// has not stored yet has none, and gets them here.
func (e *Evaluator) resolve(r *role) {
	if r.resolved || len(r.aggregate) == 0 {
		return
	}
	r.resolved = true // before its parts, which may aggregate it
	parts := e.parts(r)
	for _, part := range parts {
		e.resolve(part)
	}
	if len(r.rules) == 0 {
		for _, part := range parts {
			for i := range part.rules {
				if !hasRule(r.rules, &part.rules[i]) {
					r.rules = append(r.rules, part.rules[i])
				}
			}
		}
	}
	r.sources = make([]string, len(r.rules))
	for i := range r.rules {
		if n := slices.IndexFunc(parts, func(part *role) bool { return hasRule(part.rules, &r.rules[i]) }); n >= 0 {
			r.sources[i] = parts[n].name
		}
	}
}

func hasRule(rules []rbacv1.PolicyRule, rule *rbacv1.PolicyRule) bool {
	return slices.ContainsFunc(rules, func(has rbacv1.PolicyRule) bool { return equality.Semantic.DeepEqual(&has, rule) })
}

// parts returns the ClusterRoles that a ClusterRole aggregates, sorted by name.
func (e *Evaluator) parts(r *role) []*role {
	var parts []*role
	for i := range r.aggregate {
		selector, err := metav1.LabelSelectorAsSelector(&r.aggregate[i])
		if err != nil {
			continue // the controller of the API server skips it as well
		}
		for _, candidate := range e.labelled {
			if candidate != r && selector.Matches(candidate.labels) && !slices.Contains(parts, candidate) {
				parts = append(parts, candidate)
			}
		}
	}
	slices.SortFunc(parts, func(a, b *role) int { return strings.Compare(a.name, b.name) })
	return parts
}

// Grants are the roles of an identity.
type Grants struct {
	// List has them in the order in which the API server looks: ClusterRoleBindings, then RoleBindings.
	List []Grant
	// Dangling are the bindings of the identity whose role does not exist. Anyone who may create such a role decides what they give.
	Dangling []Dangling
}

// Match is a rule that allows a request.
type Match struct {
	*Grant
	Rule int // index among the rules of the role
}

// Grants returns everything that RBAC gives to an identity.
func (e *Evaluator) Grants(id authorization.Identity) *Grants {
	grants := &Grants{}
	for i := range e.bindings {
		b := &e.bindings[i]
		subject := slices.IndexFunc(b.subjects, func(s rbacv1.Subject) bool { return matches(id, &s, b.namespace) })
		if subject < 0 {
			continue
		}
		r := e.roleOf(b)
		if r == nil {
			grants.Dangling = append(grants.Dangling, Dangling{b.kind, b.namespace, b.name, b.role.Kind, b.role.Name})
			continue
		}
		grants.List = append(grants.List, Grant{
			BindingKind: b.kind, BindingNamespace: b.namespace, Binding: b.name, RoleKind: b.role.Kind, Role: b.role.Name,
			Subject: b.subjects[subject], SubjectIndex: subject, role: r,
		})
	}
	return grants
}

// Matches returns the grants that allow a request, at most limit of them, each with the first rule that does, and how many there are.
func (g *Grants) Matches(r *authorization.Request, limit int) (matches []Match, count int) {
	known := map[*role]int{} // many bindings may give the same role
	for i := range g.List {
		grant := &g.List[i]
		if grant.BindingNamespace != "" && (grant.BindingNamespace != r.Namespace || r.Path != "") {
			continue
		}
		rule, found := known[grant.role]
		if !found {
			rule = slices.IndexFunc(grant.role.rules, func(rule rbacv1.PolicyRule) bool { return RuleAllows(&rule, r) })
			known[grant.role] = rule
		}
		if rule < 0 {
			continue
		}
		if count++; len(matches) < limit {
			matches = append(matches, Match{grant, rule})
		}
	}
	return matches, count
}

func (e *Evaluator) roleOf(b *binding) *role {
	switch b.role.Kind {
	case ClusterRole:
		return e.roles[types.NamespacedName{Name: b.role.Name}]
	case Role:
		if b.namespace != "" {
			return e.roles[types.NamespacedName{Namespace: b.namespace, Name: b.role.Name}]
		}
	}
	return nil
}

// Allows reports whether RBAC allows an identity a request.
func (e *Evaluator) Allows(id authorization.Identity, r *authorization.Request) bool {
	for i := range e.bindings {
		b := &e.bindings[i]
		if b.namespace != "" && (b.namespace != r.Namespace || r.Path != "") {
			continue
		}
		role := e.roleOf(b)
		if role != nil && slices.ContainsFunc(role.rules, func(rule rbacv1.PolicyRule) bool { return RuleAllows(&rule, r) }) &&
			slices.ContainsFunc(b.subjects, func(s rbacv1.Subject) bool { return matches(id, &s, b.namespace) }) {
			return true
		}
	}
	return false
}

// matches reports whether a subject of a binding, which is in a namespace or in none, means an identity.
func matches(id authorization.Identity, s *rbacv1.Subject, namespace string) bool {
	switch s.Kind {
	case rbacv1.UserKind:
		return s.Name == id.User
	case rbacv1.GroupKind:
		return slices.Contains(id.Groups, s.Name)
	case rbacv1.ServiceAccountKind:
		if s.Namespace != "" {
			namespace = s.Namespace
		}
		rest, found := strings.CutPrefix(id.User, "system:serviceaccount:")
		return found && namespace != "" && rest == namespace+":"+s.Name
	}
	return false
}

// Describe names the binding, as the API server does in the reason of an answer except that the namespace comes first. It does not
// escape names.
func (g *Grant) Describe() string {
	return fmt.Sprintf("%s of %s %s", Name(g.BindingKind, g.BindingNamespace, g.Binding), g.RoleKind, g.Role)
}

// Name returns a kind and a name with its namespace, such as RoleBinding kube-system/x.
func Name(kind, namespace, name string) string {
	if namespace != "" {
		name = namespace + "/" + name
	}
	return kind + " " + name
}

// RuleAllows reports whether a rule allows a request, wherever its role is bound.
func RuleAllows(rule *rbacv1.PolicyRule, r *authorization.Request) bool {
	if !hasOrAll(rule.Verbs, r.Verb) {
		return false
	}
	if r.Path != "" {
		return slices.ContainsFunc(rule.NonResourceURLs, func(url string) bool {
			prefix, pattern := strings.CutSuffix(url, "*")
			return url == r.Path || pattern && strings.HasPrefix(r.Path, strings.TrimRight(prefix, "*"))
		})
	}
	resource := r.Resource
	if r.Subresource != "" {
		resource += "/" + r.Subresource
	}
	return hasOrAll(rule.APIGroups, r.Group) &&
		(hasOrAll(rule.Resources, resource) || r.Subresource != "" && slices.Contains(rule.Resources, "*/"+r.Subresource)) &&
		(len(rule.ResourceNames) == 0 || slices.Contains(rule.ResourceNames, r.Name))
}

func hasOrAll(list []string, s string) bool {
	return slices.Contains(list, "*") || slices.Contains(list, s)
}
