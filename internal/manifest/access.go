// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"slices"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
)

// access is what authorizers allow, as far as it was written down: as RBAC, which is evaluated as the API server's RBAC
// authorizer does, and as answers to SubjectAccessReviews, for other authorizers.
type access struct {
	roles    map[types.NamespacedName][]rbacv1.PolicyRule // by namespace and name; no namespace: ClusterRoles
	bindings []binding
	answered []authorizationv1.SubjectAccessReviewSpec
}

type binding struct {
	namespace string // empty: everywhere
	role      types.NamespacedName
	subjects  []rbacv1.Subject
}

func (a *access) addRole(namespace, name string, rules []rbacv1.PolicyRule) {
	if a.roles == nil {
		a.roles = map[types.NamespacedName][]rbacv1.PolicyRule{}
	}
	a.roles[types.NamespacedName{Namespace: namespace, Name: name}] = rules
}

func (a *access) bind(namespace string, role rbacv1.RoleRef, subjects []rbacv1.Subject) {
	b := binding{namespace: namespace, role: types.NamespacedName{Name: role.Name}, subjects: subjects}
	if role.Kind == "Role" {
		b.role.Namespace = namespace
	}
	a.bindings = append(a.bindings, b)
}

// allows reports whether a resource may be accessed. Other questions are answered only by a SubjectAccessReview.
func (a *access) allows(spec *authorizationv1.SubjectAccessReviewSpec) bool {
	for i := range a.answered {
		if sameQuestion(&a.answered[i], spec) {
			return true
		}
	}
	resource := spec.ResourceAttributes
	if resource == nil {
		return false
	}
	return slices.ContainsFunc(a.bindings, func(b binding) bool {
		return (b.namespace == "" || b.namespace == resource.Namespace) &&
			slices.ContainsFunc(b.subjects, func(s rbacv1.Subject) bool { return isSubject(spec, s, b.namespace) }) &&
			slices.ContainsFunc(a.roles[b.role], func(r rbacv1.PolicyRule) bool { return ruleAllows(resource, r) })
	})
}

// sameQuestion reports whether an answer is about the same user and resource. The version of the resource and what else is
// known of the user do not matter; groups are compared only if the answer has any.
func sameQuestion(answered, asked *authorizationv1.SubjectAccessReviewSpec) bool {
	a, b := answered.DeepCopy(), asked.DeepCopy()
	for _, spec := range []*authorizationv1.SubjectAccessReviewSpec{a, b} {
		spec.UID, spec.Extra = "", nil
		if spec.ResourceAttributes != nil {
			spec.ResourceAttributes.Version = ""
		}
		slices.Sort(spec.Groups)
	}
	if len(a.Groups) == 0 {
		b.Groups = nil
	}
	return equality.Semantic.DeepEqual(a, b)
}

func isSubject(spec *authorizationv1.SubjectAccessReviewSpec, s rbacv1.Subject, namespace string) bool {
	switch s.Kind {
	case rbacv1.UserKind:
		return s.Name == spec.User
	case rbacv1.GroupKind:
		return slices.Contains(spec.Groups, s.Name)
	case rbacv1.ServiceAccountKind:
		if s.Namespace != "" {
			namespace = s.Namespace
		}
		return namespace != "" && spec.User == strings.Join([]string{"system:serviceaccount", namespace, s.Name}, ":")
	}
	return false
}

func ruleAllows(r *authorizationv1.ResourceAttributes, rule rbacv1.PolicyRule) bool {
	resource := r.Resource
	if r.Subresource != "" {
		resource += "/" + r.Subresource
	}
	return hasOrAll(rule.Verbs, r.Verb) && hasOrAll(rule.APIGroups, r.Group) &&
		(hasOrAll(rule.Resources, resource) ||
			r.Subresource != "" && slices.Contains(rule.Resources, "*/"+r.Subresource)) &&
		(len(rule.ResourceNames) == 0 || slices.Contains(rule.ResourceNames, r.Name))
}

func hasOrAll(list []string, s string) bool {
	return slices.Contains(list, "*") || slices.Contains(list, s)
}
