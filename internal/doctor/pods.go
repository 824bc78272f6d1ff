// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"cmp"
	"context"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/access"
	"noderestriction.plus/internal/doctor/checks"
)

// podShape is what is kept of a pod while a list is read: nothing of its environment.
type podShape struct {
	Metadata struct {
		Namespace       string                  `json:"namespace"`
		Name            string                  `json:"name"`
		OwnerReferences []metav1.OwnerReference `json:"ownerReferences"`
	} `json:"metadata"`
	Spec struct {
		NodeName           string `json:"nodeName"`
		ServiceAccountName string `json:"serviceAccountName"`
		Volumes            []struct {
			Projected struct {
				Sources []struct {
					Token *struct {
						Audience string `json:"audience"`
					} `json:"serviceAccountToken"`
				} `json:"sources"`
			} `json:"projected"`
		} `json:"volumes"`
	} `json:"spec"`
}

// running selects the pods that run, or are about to.
const running = "status.phase!=Succeeded,status.phase!=Failed"

// readPods reads which service accounts pods use, and which service accounts there are.
func (r *reader) readPods(ctx context.Context) {
	if r.wants("node-agents", "agent-subjects") {
		pods := list[podShape](ctx, r.client, listOf("", "pods"), access.ListOptions{FieldSelector: running})
		r.Pods.Unknown = pods.Unknown
		for i := range pods.Value {
			r.Pods.Value = append(r.Pods.Value, pods.Value[i].pod())
		}
	}
	if r.wants("agent-subjects") && slices.ContainsFunc(r.Policies.Value, func(p v1alpha1.NodeRestrictionPolicy) bool {
		return p.Spec.Subjects != nil
	}) {
		accounts := list[struct {
			Metadata checks.Account `json:"metadata"`
		}](ctx, r.client, listOf("", "serviceaccounts"), access.ListOptions{MetadataOnly: true})
		r.Accounts.Unknown = accounts.Unknown
		for i := range accounts.Value {
			r.Accounts.Value = append(r.Accounts.Value, accounts.Value[i].Metadata)
		}
	}
}

// pod returns what checks read of a pod.
func (p *podShape) pod() checks.Pod {
	pod := checks.Pod{
		Namespace: p.Metadata.Namespace, Name: p.Metadata.Name, Node: p.Spec.NodeName, Account: cmp.Or(p.Spec.ServiceAccountName, "default"),
	}
	for _, o := range p.Metadata.OwnerReferences {
		if o.Controller != nil && *o.Controller {
			pod.Owner, pod.OwnerName = o.Kind, o.Name
		}
	}
	for _, v := range p.Spec.Volumes {
		for _, s := range v.Projected.Sources {
			pod.Token = pod.Token || s.Token != nil && s.Token.Audience == ""
		}
	}
	return pod
}
