// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
	"noderestriction.plus/policy/object"
)

func baselinePods() policy.Rule {
	return policy.Rule{
		ID: "baseline-pods",
		Doc: policy.Doc{
			Title: "A kubelet may create mirror pods only, and write the pods of its node only",
			Text: "Without this a kubelet creates any pod, on any node and with any service account or secret, and " +
				"deletes, evicts and reports for the pods of others.",
			Kubelet: "A kubelet creates mirror pods that its Node owns, and reports for and deletes the pods on its node.",
			Attack:  `kubectl --kubeconfig kubelet.conf delete pod "$POD_OF_ANOTHER_NODE"`,
			Spec:    baselineSpec,
			Fields: []string{
				"metadata.annotations", "metadata.labels", "metadata.ownerReferences", "spec",
				"status.resourceClaimStatuses", "status.extendedResourceClaimStatus",
				"status.nodeAllocatableResourceClaimStatuses",
			},
			Since:  "v0.1.0",
			Source: baselineSource + " (admitPod, admitPodStatus, admitPodEviction)",
		},
		OptIn:   true,
		Targets: baselineWrites("pods"),
		Note:    staticPodKeepsRunning,
		LooksUp: baselineLooksUp,
		Agents:  kubeletsOnly(onlyPlugin),
		Compile: compileBaseline(v1alpha1.BaselinePods, checkBaselinePod),
		CEL: policy.CEL{
			Kind: policy.Narrower, Strictest: `{}`, Express: expressBaselinePods,
			Why: "the pod of an eviction, a pod that no longer exists, and the UID of the Node are lookups",
			Differs: func(_ *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) bool {
				return on.Subresource == "eviction" || on.Subresource == "" && on.Operation != expression.Update
			},
		},
	}
}

func checkBaselinePod(r *policy.Request) []policy.Violation {
	switch {
	case r.Subresource == "" && r.Operation == admissionv1.Create:
		return checkCreatedPod(r)
	case r.Subresource == "" && r.Operation == admissionv1.Delete:
		return checkPodOnNode(r, r.Name)
	case r.Subresource == "status" && r.Operation == admissionv1.Update:
		return checkPodStatus(r)
	case r.Subresource == "eviction" && r.Operation == admissionv1.Create:
		return checkEviction(r)
	case r.Subresource == "":
		return onlyViolation("", "must not update a pod")
	}
	return onlyViolation("", "must not "+verb(r.Operation)+" "+text.Quote("pods/"+r.Subresource))
}

// verb returns the verb for an operation in a message.
func verb(operation admissionv1.Operation) string {
	switch operation {
	case admissionv1.Create:
		return "create"
	case admissionv1.Update:
		return "update"
	}
	return "delete"
}

// checkPodOnNode looks up the pod, as the plugin does, because an eviction does not contain it.
func checkPodOnNode(r *policy.Request, name string) []policy.Violation {
	pod, found, err := r.LookUpPod(r.Namespace, name)
	switch {
	case err != nil && r.Pod().IsStored():
		// The API server has sent the pod that it is about to delete.
		return nodeNameViolation(r, r.Pod().NodeName().Old())
	case err != nil:
		return onlyViolation("spec.nodeName", "must be on this node, but the pod could not be looked up")
	case !found:
		return onlyViolation("metadata.name", "must name a pod that exists")
	}
	return nodeNameViolation(r, pod.Spec.NodeName)
}

func nodeNameViolation(r *policy.Request, nodeName string) []policy.Violation {
	if nodeName == r.NodeName {
		return nil
	}
	return onlyViolation("spec.nodeName", "must not write a pod that is not on this node")
}

func checkEviction(r *policy.Request) []policy.Violation {
	eviction, ok := decoded[withMetadata](r.Object)
	if !ok {
		return malformed("")
	}
	name := r.Name
	if name == "" {
		name = eviction.Name
	}
	return checkPodOnNode(r, name)
}

func checkPodStatus(r *policy.Request) []policy.Violation {
	if vs := nodeNameViolation(r, r.Pod().NodeName().Old()); vs != nil {
		return vs
	}
	vs := compareKeys(r.Pod().Labels().Change()).violationsOf("metadata.labels", "label")
	return append(vs, changedClaimStatuses(r.Pod())...)
}

func checkCreatedPod(r *policy.Request) []policy.Violation {
	pod, ok := decoded[corev1.Pod](r.Object)
	if !ok {
		return malformed("")
	}
	if _, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]; !mirror {
		return onlyViolation("metadata.annotations", "must have the annotation "+text.Quote(corev1.MirrorPodAnnotationKey))
	}
	if pod.Spec.NodeName != r.NodeName {
		return onlyViolation("spec.nodeName", "must not write a pod that is not on this node")
	}
	if vs := checkOwnedByNode(r, pod.OwnerReferences); vs != nil {
		return vs
	}
	if resource := referredTo(pod); resource != "" {
		return onlyViolation("spec", "must not refer to "+resource)
	}
	return nil
}

// changedClaimStatuses returns a violation for each changed status that the scheduler or the resource claim controller manages.
func changedClaimStatuses(pod *object.Pod) []policy.Violation {
	var vs []policy.Violation
	refuse := func(field string) {
		vs = append(vs, policy.Violation{Field: "status." + field, Detail: "must not change " + field})
	}
	if old, updated := pod.ResourceClaimStatuses().Change(); !equality.Semantic.DeepEqual(old, updated) {
		refuse("resourceClaimStatuses")
	}
	if old, updated := pod.ExtendedResourceClaimStatus().Change(); !equality.Semantic.DeepEqual(old, updated) {
		refuse("extendedResourceClaimStatus")
	}
	if old, updated := pod.NodeAllocatableResourceClaimStatuses().Change(); !equality.Semantic.DeepEqual(old, updated) {
		refuse("nodeAllocatableResourceClaimStatuses")
	}
	return vs
}

func expressBaselinePods(_ *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	refuse := func(field, message, violates string) []expression.Expression {
		return []expression.Expression{when(field, message, expression.And(on.InNodesGroup(), violates))}
	}
	foreign := differs(on.Old("spec.nodeName", "''"), on.NodeName())
	switch {
	case on.Subresource == "" && on.Operation == expression.Create:
		return refuse("spec", "must be a mirror pod of this node that refers to no other object", expressCreatedPod(on))
	case on.Subresource == "" && on.Operation == expression.Delete:
		return refuse("spec.nodeName", "must not write a pod that is not on this node", foreign)
	case on.Subresource == "status" && on.Operation == expression.Update:
		changed := []string{differs(on.Both("metadata.labels", "{}"))}
		for _, missing := range []struct{ name, value string }{
			{"resourceClaimStatuses", "[]"}, {"extendedResourceClaimStatus", "{}"}, {"nodeAllocatableResourceClaimStatuses", "[]"},
		} {
			changed = append(changed, differs(on.Both("status."+missing.name, missing.value)))
		}
		return append(refuse("spec.nodeName", "must not write a pod that is not on this node", foreign),
			refuse("status", "must not change labels or the statuses of claims", expression.Or(changed...))...)
	case on.Subresource == "eviction" && on.Operation == expression.Create:
		return nil
	}
	return refuse("", "must not write this subresource of a pod, nor update a pod", expression.True)
}

// expressCreatedPod is [checkCreatedPod] in CEL, without the UID of the Node.
func expressCreatedPod(on *expression.Scope) string {
	owners := on.New("metadata.ownerReferences", "[]")
	owner := owners + "[0]"
	own := expression.And("size("+owners+") == 1",
		owner+".apiVersion == 'v1'", owner+".kind == 'Node'", owner+".name == "+on.NodeName(),
		owner+".?controller.orValue(false)", "!"+owner+".?blockOwnerDeletion.orValue(false)")
	return expression.Or(
		expression.Not(quote(corev1.MirrorPodAnnotationKey)+" in "+on.New("metadata.annotations", "{}")),
		differs(on.New("spec.nodeName", "''"), on.NodeName()), expression.Not(own), expressReferences(on))
}
