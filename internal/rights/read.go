// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rights

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/internal/access"
	"noderestriction.plus/internal/rbac"
	"noderestriction.plus/internal/text"
)

// relate finds objects that are related to the node.
func (l *live) relate(ctx context.Context) {
	pods, err := l.client.Pods(ctx, l.node, maxPods)
	if err != nil {
		l.lack(err, "what the pods of the node use is not known, and not asked")
	} else {
		for i := range pods {
			l.links.AddPod(&pods[i])
		}
		if len(pods) == 0 {
			l.note("the node has no pods, so that nothing is asked about objects of its pods")
		}
	}
	optional := func(err error, without string) {
		if !l.self && !errors.Is(err, access.ErrNotFound) { // a kubelet may not list most of them
			l.lack(err, without)
		}
	}
	if volumes, err := l.client.PersistentVolumes(ctx, maxVolumes); err != nil {
		optional(err, "PersistentVolumes of the node's pods are not asked")
	} else {
		for i := range volumes {
			l.links.AddVolume(&volumes[i])
		}
	}
	if attachments, err := l.client.VolumeAttachments(ctx, maxVolumes); err != nil {
		optional(err, "VolumeAttachments of the node are not asked")
	} else {
		for i := range attachments {
			if attachments[i].Spec.NodeName == l.node {
				l.links.Add("volumeattachments", "", attachments[i].Name)
			}
		}
	}
	if devices, err := l.client.ResourceSlices(ctx, l.node, maxOwn); err != nil {
		optional(err, "ResourceSlices of the node are not asked")
	} else {
		for i := range devices {
			l.links.Add("resourceslices", "", devices[i].Name)
		}
	}
	if requests, err := l.client.PodCertificateRequests(ctx, l.node, maxOwn); err != nil {
		optional(err, "PodCertificateRequests of the node are not asked")
	} else {
		for i := range requests {
			l.links.Add("podcertificaterequests", requests[i].Namespace, requests[i].Name)
		}
	}
}

// readGrants reads what RBAC gives to the kubelet.
func (l *live) readGrants(ctx context.Context) {
	if l.self {
		l.readOwnRules(ctx)
		return
	}
	snapshot, failures := l.client.RBAC(ctx)
	for _, err := range failures {
		l.lack(err, "which bindings give a permission is only known from the first that the API server names")
	}
	if len(failures) > 0 {
		return
	}
	l.grants = rbac.New(snapshot).Grants(l.id)
	l.candidates = l.grants
	for _, d := range l.grants.Dangling[:min(len(l.grants.Dangling), maxGrants)] {
		l.report.Notes = append(l.report.Notes, danglingNote(d))
	}
}

func danglingNote(d rbac.Dangling) string {
	const note = "%s gives the role %s %s, which does not exist: anyone who may create it decides what the kubelet gets"
	return text.Printable(text.Cut(fmt.Sprintf(note,
		rbac.Name(d.BindingKind, d.BindingNamespace, d.Binding), d.RoleKind, d.Role), maxReason))
}

// readOwnRules asks the API server, as the kubelet, which rules of RBAC it has. The names of their bindings are not known then.
func (l *live) readOwnRules(ctx context.Context) {
	namespaces := []string{systemNamespace, metav1.NamespaceDefault}
	for _, pod := range l.links.Names("pods") {
		if !slices.Contains(namespaces, pod.Namespace) && len(namespaces) < maxRuleNamespaces {
			namespaces = append(namespaces, pod.Namespace)
		}
	}
	// A rule that is found in two namespaces counts as one of a ClusterRoleBinding.
	found := map[string][]string{}
	rules := map[string]rbacv1.PolicyRule{}
	for _, namespace := range namespaces {
		status, err := l.client.Rules(ctx, namespace)
		if err != nil {
			l.lack(err, "permissions beyond the table that RBAC gives in the namespace "+namespace+" are not asked")
			continue
		}
		for _, rule := range ownRules(status) {
			key := rule.String()
			rules[key] = rule
			if !slices.Contains(found[key], namespace) {
				found[key] = append(found[key], namespace)
			}
		}
	}
	snapshot := &rbac.Snapshot{}
	subject := []rbacv1.Subject{{Kind: rbacv1.UserKind, Name: l.id.User}}
	for i, key := range slices.Sorted(maps.Keys(rules)) {
		name := metav1.ObjectMeta{Name: fmt.Sprintf("rule-%d", i)}
		role := rbacv1.RoleRef{Kind: rbac.ClusterRole, Name: name.Name}
		snapshot.ClusterRoles = append(snapshot.ClusterRoles, rbacv1.ClusterRole{ObjectMeta: name, Rules: []rbacv1.PolicyRule{rules[key]}})
		if in := found[key]; len(in) == 1 && len(rules[key].NonResourceURLs) == 0 {
			name.Namespace = in[0]
			snapshot.RoleBindings = append(snapshot.RoleBindings, rbacv1.RoleBinding{ObjectMeta: name, RoleRef: role, Subjects: subject})
			continue
		}
		snapshot.ClusterRoleBindings = append(snapshot.ClusterRoleBindings, rbacv1.ClusterRoleBinding{
			ObjectMeta: name, RoleRef: role, Subjects: subject,
		})
	}
	l.candidates = rbac.New(snapshot).Grants(l.id)
}

// ownRules returns the rules of a review as RBAC has them.
func ownRules(status *authorizationv1.SubjectRulesReviewStatus) []rbacv1.PolicyRule {
	var rules []rbacv1.PolicyRule
	for _, r := range status.ResourceRules {
		rules = append(rules, rbacv1.PolicyRule{Verbs: r.Verbs, APIGroups: r.APIGroups, Resources: r.Resources, ResourceNames: r.ResourceNames})
	}
	for _, r := range status.NonResourceRules {
		rules = append(rules, rbacv1.PolicyRule{Verbs: r.Verbs, NonResourceURLs: r.NonResourceURLs})
	}
	return rules
}
