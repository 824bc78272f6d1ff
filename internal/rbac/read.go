// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"encoding/json"
	"fmt"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Add adds an object in JSON: a role, a binding, or a list of objects. Objects of other kinds are skipped.
func (s *Snapshot) Add(data []byte) error {
	var meta struct {
		metav1.TypeMeta `json:",inline"`
		Items           []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(data, &meta); err != nil {
		return err
	}
	if meta.Items == nil {
		return s.add(meta.APIVersion, meta.Kind, data)
	}
	for i, item := range meta.Items {
		of := metav1.TypeMeta{}
		if err := json.Unmarshal(item, &of); err != nil {
			return fmt.Errorf("items[%d]: %w", i, err)
		}
		if of.Kind == "" { // as in a RoleList
			of.APIVersion, of.Kind = meta.APIVersion, strings.TrimSuffix(meta.Kind, "List")
		}
		if err := s.add(of.APIVersion, of.Kind, item); err != nil {
			return fmt.Errorf("items[%d]: %w", i, err)
		}
	}
	return nil
}

func (s *Snapshot) add(apiVersion, kind string, data []byte) error {
	if apiVersion != rbacv1.SchemeGroupVersion.String() {
		return nil
	}
	switch kind {
	case ClusterRole:
		return decode(&s.ClusterRoles, data)
	case Role:
		return decode(&s.Roles, data)
	case ClusterRoleBinding:
		return decode(&s.ClusterRoleBindings, data)
	case RoleBinding:
		return decode(&s.RoleBindings, data)
	}
	return nil
}

func decode[T any](list *[]T, data []byte) error {
	var object T
	if err := json.Unmarshal(data, &object); err != nil {
		return err
	}
	*list = append(*list, object)
	return nil
}
