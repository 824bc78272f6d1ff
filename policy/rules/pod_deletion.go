// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
	"noderestriction.plus/policy/object"
	"noderestriction.plus/policy/pattern"
)

func podDeletion() policy.Rule {
	return policy.Rule{
		ID: "pod-deletion",
		Doc: policy.Doc{
			Title: "A kubelet may delete only pods that are being deleted already, and mirror pods",
			Text: "With its credential a kubelet can delete every pod on its node at once, without grace and past " +
				"each PodDisruptionBudget.",
			Kubelet: "A kubelet deletes a pod with grace period 0 once its containers have ended, after someone else " +
				"deleted it; and its mirror pods at any time.",
			Attack: `kubectl --kubeconfig kubelet.conf delete pod "$POD" --grace-period=0 --force`,
			Spec:   "spec.pods.deletion",
			Fields: []string{"metadata.deletionTimestamp"},
			Since:  "v0.1.0",
			Source: "kubernetes v1.37.2 pkg/kubelet/status/status_manager.go (canBeDeleted), " +
				"pkg/kubelet/pod/mirror_client.go",
		},
		Targets: podDeletions(),
		Agents:  sameForAgents(podDeletions()),
		Compile: compilePodDeletion,
		CEL: policy.CEL{
			Kind: policy.Exactly, Strictest: `{"mode":"Finished"}`, Express: expressPodDeletion,
			// The mode Finished is for those sites whose kubelets all name the UID.
			Gate: `{}`,
		},
	}
}

func compilePodDeletion(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) (policy.Check, field.ErrorList) {
	cfg := spec.Pods.Deletion
	if cfg == nil {
		return nil, nil
	}
	if forAgents(spec) {
		return func(*policy.Request) []policy.Violation {
			return []policy.Violation{{Field: "metadata.deletionTimestamp", Detail: "must not delete a pod"}}
		}, refuseForAgents(spec, at.Child("pods", "deletion"), setting{"mode", cfg.Mode != ""})
	}
	errs := pattern.CheckEnum(cfg.Mode, at.Child("pods", "deletion", "mode"),
		v1alpha1.PodDeletionTerminating, v1alpha1.PodDeletionFinished)
	return func(r *policy.Request) []policy.Violation {
		pod := r.Pod()
		refuse := func(field, detail string) []policy.Violation {
			return []policy.Violation{{Field: field, Detail: detail}}
		}
		switch {
		case !pod.IsStored():
			return refuse("metadata.deletionTimestamp", "must not delete a pod that the API server does not send")
		case object.IsMirror(pod.Annotations().Old()):
			return nil
		case pod.DeletionTimestamp().Old() == nil:
			return refuse("metadata.deletionTimestamp", "must not delete a pod that nobody else has deleted")
		case cfg.Mode != v1alpha1.PodDeletionFinished:
			return nil
		case !isTerminal(pod.Phase().Old()):
			return refuse("status.phase", "must not delete a pod in phase "+text.Quote(string(pod.Phase().Old())))
		case !requiresUID(r.DeleteOptions(), pod.UID().Old()):
			return refuse("options.preconditions.uid", "must name the UID of the pod as precondition")
		}
		return nil
	}, errs
}

// requiresUID reports whether a deletion has the UID as precondition.
func requiresUID(o *object.DeleteOptions, uid types.UID) bool {
	return o.Preconditions != nil && o.Preconditions.UID != nil && *o.Preconditions.UID == uid
}

func expressPodDeletion(spec *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	refuse := "must not delete a pod that nobody else has deleted"
	mirror := quote(corev1.MirrorPodAnnotationKey) + " in " + on.Old("metadata.annotations", "{}")
	deleted := "oldObject.?metadata.?deletionTimestamp.hasValue()"
	expressions := []expression.Expression{
		when("metadata.deletionTimestamp", refuse, expression.And(expression.Not(mirror), expression.Not(deleted))),
	}
	if spec.Pods.Deletion.Mode != v1alpha1.PodDeletionFinished {
		return expressions
	}
	finished := on.Old("status.phase", "''") + " in ['Succeeded', 'Failed']"
	uid := on.Define("deletedUID", "has(request.options) && request.options != null ? "+
		"request.options.?preconditions.?uid.orValue('') : ''")
	return append(expressions,
		when("status.phase", "must not delete a pod that has not finished",
			expression.And(expression.Not(mirror), deleted, expression.Not(finished))),
		when("options.preconditions.uid", "must name the UID of the pod as precondition", expression.And(
			expression.Not(mirror), deleted, finished, differs(uid, on.Old("metadata.uid", "''")))))
}
