// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"strconv"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
)

// maxReason is the size of the longest reason that is read, in bytes: five names of 253 characters, each quoted.
const maxReason = 8 << 10

// ReadReason reads a grant from the reason with which the API server allows a request by RBAC, such as
//
//	RBAC: allowed by RoleBinding "x/kube-system" of Role "y" to Group "system:nodes"
//
// The grant has no rule. It reports false if the reason says something else. Another authorizer can forge such a reason.
func ReadReason(reason string) (Grant, bool) {
	var g Grant
	rest, found := strings.CutPrefix(reason, "RBAC: allowed by ")
	if !found || len(reason) > maxReason {
		return g, false
	}
	var ok [3]bool
	g.BindingKind, g.Binding, rest, ok[0] = kindAndName(rest, " of ")
	g.RoleKind, g.Role, rest, ok[1] = kindAndName(rest, " to ")
	g.Subject.Kind, g.Subject.Name, rest, ok[2] = kindAndName(rest, "")
	if ok != [3]bool{true, true, true} || rest != "" {
		return Grant{}, false
	}
	switch g.BindingKind {
	case ClusterRoleBinding:
	case RoleBinding:
		i := strings.LastIndex(g.Binding, "/")
		if i < 0 {
			return Grant{}, false
		}
		g.Binding, g.BindingNamespace = g.Binding[:i], g.Binding[i+1:]
	default:
		return Grant{}, false
	}
	if g.Subject.Kind == rbacv1.ServiceAccountKind {
		g.Subject.Name, g.Subject.Namespace, _ = strings.Cut(g.Subject.Name, "/")
	}
	return g, true
}

// kindAndName reads a kind and a quoted name up to a separator, or up to the end if it is empty.
func kindAndName(s, separator string) (kind, name, rest string, ok bool) {
	kind, s, ok = strings.Cut(s, ` "`)
	if !ok || kind == "" || strings.ContainsAny(kind, " \"") {
		return "", "", "", false
	}
	// Names of RBAC objects and users may contain quotes, which the API server escapes as Go does.
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			name, rest = s[:i], s[i+1:]
			if name, ok = unquote(name); !ok {
				return "", "", "", false
			}
			if separator == "" {
				return kind, name, rest, true
			}
			rest, ok = strings.CutPrefix(rest, separator)
			return kind, name, rest, ok
		}
	}
	return "", "", "", false
}

func unquote(s string) (string, bool) {
	name, err := strconv.Unquote(`"` + s + `"`)
	return name, err == nil
}
