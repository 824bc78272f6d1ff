// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rbac

import rbacv1 "k8s.io/api/rbac/v1"

// Holding is a rule that a binding gives to its subjects.
type Holding struct {
	Grant    // without a subject
	Rule     int
	Subjects []rbacv1.Subject
}

// Holdings returns, in the order of [Grants], each binding whose role has a rule that is wanted, with the first such rule. Wanted is
// asked about rules of the whole cluster, with an empty namespace, or in the namespace of a RoleBinding, once for each role and each
// namespace in which it is bound.
func (e *Evaluator) Holdings(wanted func(namespace string, rule *rbacv1.PolicyRule) bool) []Holding {
	type place struct {
		role      *role
		namespace string
	}
	known := map[place]int{}
	var holdings []Holding
	for i := range e.bindings {
		b := &e.bindings[i]
		r := e.roleOf(b)
		if r == nil {
			continue
		}
		at := place{r, b.namespace}
		rule, found := known[at]
		if !found {
			rule = -1
			for n := range r.rules {
				if wanted(b.namespace, &r.rules[n]) {
					rule = n
					break
				}
			}
			known[at] = rule
		}
		if rule < 0 {
			continue
		}
		holdings = append(holdings, Holding{
			Grant: Grant{
				BindingKind: b.kind, BindingNamespace: b.namespace, Binding: b.name, RoleKind: b.role.Kind, Role: b.role.Name, role: r,
			},
			Rule: rule, Subjects: b.subjects,
		})
	}
	return holdings
}
