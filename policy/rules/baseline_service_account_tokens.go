// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/pattern"
)

func baselineServiceAccountTokens() policy.Rule {
	return policy.Rule{
		ID: "baseline-service-account-tokens",
		Doc: policy.Doc{
			Title: "A kubelet may ask for tokens only on behalf of the pods of its node",
			Text: "Without this a kubelet gets tokens of every service account of the cluster, for any audience, that " +
				"outlive the pods.",
			Kubelet: "A kubelet asks for tokens bound to a pod on its node, for the audiences in the pod's volumes and " +
				"those of the CSI drivers that mount them.",
			Attack: `kubectl --kubeconfig kubelet.conf -n kube-system create token clusterrole-aggregation-controller`,
			Spec:   baselineSpec,
			Fields: []string{"spec.boundObjectRef", "spec.audiences"},
			Since:  "v0.1.0",
			Source: baselineSource + " (admitServiceAccount), with the feature gate ServiceAccountNodeAudienceRestriction on",
		},
		OptIn:   true,
		Targets: []policy.Target{target("serviceaccounts", "token", admissionv1.Create)},
		Agents:  kubeletsOnly(onlyPlugin),
		Compile: compileBaselineTokens,
		CEL: policy.CEL{
			Kind: policy.NotAtAll, Strictest: `{"resources":["serviceaccounts"]}`,
			Why: "the pod to which a token is bound, and the audiences of its volumes, are lookups",
		},
	}
}

func compileBaselineTokens(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) (policy.Check, field.ErrorList) {
	if !baselineHas(spec.Baseline, v1alpha1.BaselineServiceAccounts) {
		return nil, nil
	}
	configured := spec.Baseline.APIAudiences
	errs := pattern.CheckTexts(configured, 8, 1024, at.Child("baseline", "apiAudiences"))
	return inNodesGroup(func(r *policy.Request) []policy.Violation {
		request, ok := decoded[authenticationv1.TokenRequest](r.Object)
		if !ok {
			return malformed("")
		}
		pod, vs := tokenPod(r, request.Spec.BoundObjectRef)
		if vs != nil {
			return vs
		}
		return checkAudiences(r, pod, request.Spec.Audiences, configured)
	}), errs
}

// tokenPod looks up the pod to which a token is bound. It must have the UID in the request and be on the kubelet's node.
func tokenPod(r *policy.Request, ref *authenticationv1.BoundObjectReference) (*corev1.Pod, []policy.Violation) {
	const at = "spec.boundObjectRef"
	if ref == nil || ref.APIVersion != "v1" || ref.Kind != "Pod" || ref.Name == "" {
		return nil, onlyViolation(at, "must be bound to a pod")
	}
	if ref.UID == "" {
		return nil, onlyViolation(at, "must be bound to the UID of a pod")
	}
	pod, found, err := r.LookUpPod(r.Namespace, ref.Name)
	switch {
	case err != nil:
		return nil, onlyViolation(at, "must be bound to a pod of this node, but the pod could not be looked up")
	case !found:
		return nil, onlyViolation(at, "must be bound to a pod that exists")
	case pod.UID != ref.UID:
		return nil, onlyViolation(at, "must be bound to the UID of the pod")
	case pod.Spec.NodeName != r.NodeName:
		return nil, onlyViolation(at, "must be bound to a pod of this node")
	}
	return pod, nil
}

// checkAudiences checks that a volume of the pod uses the requested audience, or that the kubelet is authorized to request it anyway.
func checkAudiences(r *policy.Request, pod *corev1.Pod, audiences, configured []string) []policy.Violation {
	const at = "spec.audiences"
	own, unknown := apiAudiences(r, configured)
	meant := meantAudiences(audiences, own)
	if len(meant) == 0 && unknown == nil {
		return onlyViolation(at, "must not request more than one audience")
	}
	used, err := usesAudience(r, pod, meant)
	switch {
	case used:
		return nil
	case err != nil:
		return onlyViolation(at, "must request an audience of the pod's volumes, but not all of them could be looked up")
	}
	for _, audience := range meant {
		allowed, err := authorized(r, "request-serviceaccounts-token-audience", audience, r.Name)
		switch {
		case allowed:
			return nil
		case err != nil:
			return onlyViolation(at, "must be authorized to request the audience, but the authorization could not be looked up")
		}
	}
	if unknown != nil {
		return onlyViolation(at, "must request an audience of the pod's volumes, but the audiences of the API server are not known: "+
			"set spec.baseline.apiAudiences")
	}
	return onlyViolation(at, "must not request audience "+text.Quote(meant[len(meant)-1]))
}

// meantAudiences returns the audiences that a kubelet may have requested; "" stands for a request without audiences. Before it calls a
// webhook, the API server sets its own audiences in such a request, so these also stand for "". The result is empty for several other
// audiences, which a kubelet never requests.
func meantAudiences(audiences, own []string) []string {
	var meant []string
	if len(audiences) == 0 || slices.Equal(audiences, own) {
		meant = append(meant, "")
	}
	if len(audiences) == 1 {
		meant = append(meant, audiences[0])
	}
	return meant
}
