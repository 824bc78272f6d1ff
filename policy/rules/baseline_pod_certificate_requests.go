// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
)

func baselinePodCertificateRequests() policy.Rule {
	return policy.Rule{
		ID: "baseline-pod-certificate-requests",
		Doc: policy.Doc{
			Title: "A kubelet may ask for certificates only on behalf of the pods of its node",
			Text: "Without this a kubelet gets certificates that speak for the service account of any pod of the " +
				"cluster.",
			Kubelet: "A kubelet asks for the certificates in the projected volumes of the pods on its node.",
			Attack:  "kubectl --kubeconfig kubelet.conf create -f pod-certificate-request-for-another-nodes-pod.yaml",
			Spec:    baselineSpec,
			Fields: []string{
				"spec.nodeName", "spec.nodeUID", "spec.podName", "spec.podUID", "spec.serviceAccountName",
				"spec.serviceAccountUID", "spec.signerName",
			},
			Since:  "v0.1.0",
			Source: baselineSource + " (admitPodCertificateRequest)",
		},
		OptIn:   true,
		Targets: baselineWrites("podcertificaterequests.certificates.k8s.io"),
		LooksUp: baselineLooksUp,
		Agents:  kubeletsOnly(onlyPlugin),
		Compile: compileBaseline(v1alpha1.BaselinePodCertificateRequests, checkBaselinePodCertificate),
		CEL: policy.CEL{
			Kind: policy.NotAtAll, Strictest: `{"resources":["podcertificaterequests"]}`,
			Why: "the pod of the request is a lookup",
		},
	}
}

// podCertificateRequest is a PodCertificateRequest, of any version, as far as the plugin reads it.
type podCertificateRequest struct {
	Spec struct {
		SignerName         string    `json:"signerName"`
		PodName            string    `json:"podName"`
		PodUID             types.UID `json:"podUID"`
		ServiceAccountName string    `json:"serviceAccountName"`
		ServiceAccountUID  types.UID `json:"serviceAccountUID"`
		NodeName           string    `json:"nodeName"`
		NodeUID            types.UID `json:"nodeUID"`
	} `json:"spec"`
}

func checkBaselinePodCertificate(r *policy.Request) []policy.Violation {
	if r.Operation != admissionv1.Create || r.Subresource != "" {
		return onlyViolation("", "must not write a PodCertificateRequest except to create it")
	}
	request, ok := decoded[podCertificateRequest](r.Object)
	if !ok {
		return malformed("")
	}
	if request.Spec.NodeName != r.NodeName {
		return onlyViolation("spec.nodeName", "must be for this node")
	}
	node, found, err := r.LookUpNode(r.NodeName)
	switch {
	case err != nil:
		return onlyViolation("spec.nodeUID", "must have the UID of the Node, but the Node could not be looked up")
	case !found || node.UID != request.Spec.NodeUID:
		return onlyViolation("spec.nodeUID", "must have the UID of the Node")
	}
	pod, vs := certificatePod(r, request)
	if vs != nil {
		return vs
	}
	if vs := checkCertificateAccount(r, request); vs != nil {
		return vs
	}
	return checkSigner(r, request, pod)
}

// certificatePod looks up the pod that the certificate is for. The pod must be on the kubelet's node and have the service account in the
// request. Mirror pods get no certificates.
func certificatePod(r *policy.Request, request *podCertificateRequest) (*corev1.Pod, []policy.Violation) {
	pod, found, err := r.LookUpPod(r.Namespace, request.Spec.PodName)
	switch {
	case err != nil:
		return nil, onlyViolation("spec.podName", "must be for a pod of this node, but the pod could not be looked up")
	case !found:
		return nil, onlyViolation("spec.podName", "must be for a pod that exists")
	case pod.UID != request.Spec.PodUID:
		return nil, onlyViolation("spec.podUID", "must have the UID of the pod")
	case pod.Spec.NodeName != r.NodeName:
		return nil, onlyViolation("spec.podName", "must be for a pod of this node")
	case pod.Spec.ServiceAccountName != request.Spec.ServiceAccountName:
		return nil, onlyViolation("spec.serviceAccountName", "must have the service account of the pod")
	}
	if _, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]; mirror {
		return nil, onlyViolation("spec.podName", "must not be for a mirror pod")
	}
	return pod, nil
}

func checkCertificateAccount(r *policy.Request, request *podCertificateRequest) []policy.Violation {
	account, found, err := r.LookUpServiceAccount(r.Namespace, request.Spec.ServiceAccountName)
	switch {
	case err != nil:
		return onlyViolation("spec.serviceAccountUID",
			"must have the UID of the service account, but the service account could not be looked up")
	case !found || account.UID != request.Spec.ServiceAccountUID:
		return onlyViolation("spec.serviceAccountUID", "must have the UID of the service account")
	}
	return nil
}

// checkSigner checks that a volume of the pod uses certificates of the signer, or that the kubelet is authorized to request them anyway.
func checkSigner(r *policy.Request, request *podCertificateRequest, pod *corev1.Pod) []policy.Violation {
	signer := request.Spec.SignerName
	for i := range pod.Spec.Volumes {
		projected := pod.Spec.Volumes[i].Projected
		if projected != nil && slices.ContainsFunc(projected.Sources, func(s corev1.VolumeProjection) bool {
			return s.PodCertificate != nil && s.PodCertificate.SignerName == signer
		}) {
			return nil
		}
	}
	// A resource in RBAC cannot contain a slash.
	resource := strings.ReplaceAll(signer, "/", ":")
	allowed, err := authorized(r, "request-serviceaccounts-podcertificate-signer", resource, request.Spec.ServiceAccountName)
	switch {
	case allowed:
		return nil
	case err != nil:
		return onlyViolation("spec.signerName", "must be authorized to request the signer, but the authorization could not be looked up")
	}
	return onlyViolation("spec.signerName", "must not request signer "+text.Quote(signer)+", which no volume of the pod uses")
}
