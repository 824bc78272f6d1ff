// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rights

import (
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/internal/program"
	"noderestriction.plus/internal/rbac"
)

// Role returns the ClusterRole with the least permissions with which nothing is lacking. Only the first rule is indispensable.
func Role() *rbacv1.ClusterRole {
	list := []string{"list"}
	return &rbacv1.ClusterRole{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacVersion, Kind: rbac.ClusterRole},
		ObjectMeta: metav1.ObjectMeta{Name: program.Plugin + "-rights"},
		Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{"authorization.k8s.io"}, Resources: []string{"subjectaccessreviews"}, Verbs: []string{"create"}},
			{
				APIGroups: []string{rbacv1.GroupName}, Resources: []string{"clusterroles", "clusterrolebindings", "roles", "rolebindings"},
				Verbs: list,
			},
			{APIGroups: []string{""}, Resources: []string{"pods", "persistentvolumes"}, Verbs: list},
			{APIGroups: []string{"storage.k8s.io"}, Resources: []string{"volumeattachments"}, Verbs: list},
			{APIGroups: []string{"resource.k8s.io"}, Resources: []string{"resourceslices"}, Verbs: list},
			{APIGroups: []string{"certificates.k8s.io"}, Resources: []string{"podcertificaterequests"}, Verbs: list},
			{APIGroups: []string{"noderestriction.plus"}, Resources: []string{"noderestrictionpolicies"}, Verbs: list},
		},
	}
}
