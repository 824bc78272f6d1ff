// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package authorizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	strictjson "sigs.k8s.io/json"

	"noderestriction.plus/internal/manifest"
	"noderestriction.plus/internal/rbac"
	"noderestriction.plus/internal/text"
)

const rbacVersion = rbacv1.GroupName + "/v1"

// readKept reads what is to be kept: the rules of Roles and ClusterRoles. Those of a Role are kept in its namespace.
func readKept(r io.Reader) ([]Permission, error) {
	stream, err := manifest.NewStream(r)
	if err != nil {
		return nil, err
	}
	var kept []Permission
	for {
		doc, err := stream.Next()
		if errors.Is(err, io.EOF) {
			if len(kept) == 0 {
				return nil, errors.New("no rule of a Role or ClusterRole found")
			}
			return kept, nil
		}
		if err != nil {
			return nil, err
		}
		data, err := doc.JSON()
		if err != nil {
			return nil, err
		}
		found, err := keptOf(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", doc, err)
		}
		kept = append(kept, found...)
	}
}

// keptOf returns the permissions of an object: a Role, a ClusterRole or a List of them.
func keptOf(data []byte) ([]Permission, error) {
	var meta metav1.TypeMeta
	if err := json.Unmarshal(data, &meta); err != nil {
		return nil, err
	}
	switch meta.APIVersion + "/" + meta.Kind {
	case "v1/List":
		return keptOfList(data)
	case rbacVersion + "/" + rbac.ClusterRole, rbacVersion + "/" + rbac.Role:
		return keptOfRole(data)
	}
	return nil, fmt.Errorf("%s of %s is not a Role, a ClusterRole or a List", text.Quote(meta.Kind), text.Quote(meta.APIVersion))
}

func keptOfList(data []byte) ([]Permission, error) {
	var list struct {
		Items []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, err
	}
	var kept []Permission
	for i, item := range list.Items {
		found, err := keptOf(item)
		if err != nil {
			return nil, fmt.Errorf("items[%d]: %w", i, err)
		}
		kept = append(kept, found...)
	}
	return kept, nil
}

// role has the fields that Roles and ClusterRoles share.
type role struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Rules             []rbacv1.PolicyRule     `json:"rules"`
	AggregationRule   *rbacv1.AggregationRule `json:"aggregationRule"`
}

func keptOfRole(data []byte) ([]Permission, error) {
	var r role
	strict, err := strictjson.UnmarshalStrict(data, &r)
	if err := errors.Join(append(strict, err)...); err != nil {
		return nil, err
	}
	if r.Kind == rbac.Role && r.Namespace == "" {
		return nil, fmt.Errorf("%s %s: metadata.namespace: a Role has a namespace", rbac.Role, text.Quote(r.Name))
	}
	var kept []Permission
	for i := range r.Rules {
		p, err := permissionOf(&r.Rules[i])
		if err != nil {
			return nil, fmt.Errorf("%s %s: rules[%d].%w", r.Kind, text.Quote(r.Name), i, err)
		}
		p.Why = "kept by " + r.Kind + " " + text.Quote(r.Name)
		if r.Kind == rbac.Role {
			p.Namespaces = []string{r.Namespace}
		}
		kept = append(kept, p)
	}
	return kept, nil
}

// permissionOf returns a rule of RBAC as a permission. A rule with patterns would keep what nobody has thought of, so that only all verbs
// can be kept, and paths with an asterisk at the end.
func permissionOf(rule *rbacv1.PolicyRule) (Permission, error) {
	p := Permission{Verbs: rule.Verbs}
	if len(rule.Verbs) == 0 {
		return p, errors.New("verbs: must not be empty")
	}
	if len(rule.NonResourceURLs) > 0 {
		if len(rule.Resources) > 0 || len(rule.APIGroups) > 0 || len(rule.ResourceNames) > 0 {
			return p, errors.New("nonResourceURLs: cannot be in one rule with resources")
		}
		for _, path := range rule.NonResourceURLs {
			if !strings.HasPrefix(path, "/") || path == "/*" || strings.Contains(strings.TrimSuffix(path, "*"), "*") {
				return p, fmt.Errorf("nonResourceURLs: %s is not a path, which begins with a slash and may end in one asterisk, "+
					"or is all paths", text.Quote(path))
			}
		}
		p.Paths = rule.NonResourceURLs
		return p, nil
	}
	for _, list := range []struct {
		field  string
		values []string
	}{{"apiGroups", rule.APIGroups}, {"resources", rule.Resources}} {
		if len(list.values) == 0 {
			return p, fmt.Errorf("%s: must not be empty", list.field)
		}
		if i := slices.IndexFunc(list.values, func(s string) bool { return strings.Contains(s, "*") }); i >= 0 {
			return p, fmt.Errorf("%s: %s keeps more than can be reviewed: name them one by one", list.field, text.Quote(list.values[i]))
		}
	}
	p.Groups, p.Resources = rule.APIGroups, rule.Resources
	if len(rule.ResourceNames) > 0 {
		p.Names = rule.ResourceNames
	}
	return p, nil
}
