// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"maps"
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func leaseMatrix() []*request {
	var rs []*request
	for _, namespace := range []string{"kube-node-lease", "foo"} {
		for _, name := range []string{"mynode", "foo"} {
			lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
			for _, requested := range []string{name, ""} {
				to := written{coordinationv1.SchemeGroupVersion, "leases", "Lease", "", namespace, requested}
				rs = append(rs, to.each(lease, lease)...)
			}
		}
	}
	return rs
}

func csiNodeMatrix() []*request {
	var rs []*request
	for _, name := range []string{"mynode", "foo"} {
		node := &storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: name}}
		for _, subresource := range []string{"", "status"} {
			to := written{storagev1.SchemeGroupVersion, "csinodes", "CSINode", subresource, "", name}
			rs = append(rs, to.each(node, node)...)
		}
	}
	return rs
}

func sliceMatrix() []*request {
	var rs []*request
	for _, node := range []*string{new("mynode"), new("mynode-other"), nil} {
		slice := &resourcev1.ResourceSlice{
			ObjectMeta: metav1.ObjectMeta{Name: "something"}, Spec: resourcev1.ResourceSliceSpec{NodeName: node},
		}
		to := written{resourcev1.SchemeGroupVersion, "resourceslices", "ResourceSlice", "", "", "foo"}
		for _, r := range to.each(slice, slice) {
			if r.operation == admissionv1.Delete {
				r.old = slice
			}
			rs = append(rs, r)
		}
	}
	return rs
}

func signingMatrix() []*request {
	var rs []*request
	for _, signer := range []string{
		certificatesv1.KubeletServingSignerName, certificatesv1.KubeAPIServerClientKubeletSignerName,
		certificatesv1.KubeAPIServerClientSignerName,
	} {
		for _, request := range [][]byte{
			certificateRequest("CERTIFICATE REQUEST", "system:node:mynode"),
			certificateRequest("CERTIFICATE REQUEST", "system:node:othernode"),
			certificateRequest("CERTIFICATE REQUEST", "some-other-identity"),
			[]byte("-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----"),
		} {
			csr := &certificatesv1.CertificateSigningRequest{
				Spec: certificatesv1.CertificateSigningRequestSpec{SignerName: signer, Request: request},
			}
			to := written{gv: certificatesv1.SchemeGroupVersion, resource: "certificatesigningrequests"}
			to.kind = "CertificateSigningRequest"
			rs = append(rs, to.each(csr, csr)...)
		}
	}
	return rs
}

func claimMatrix() []*request {
	claim := func(change func(*corev1.PersistentVolumeClaim)) *corev1.PersistentVolumeClaim {
		c := &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "foo"},
			Spec:       corev1.PersistentVolumeClaimSpec{VolumeName: "volume1"},
			Status:     corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound},
		}
		change(c)
		return c
	}
	amount := corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("15G")}
	claims := []*corev1.PersistentVolumeClaim{
		claim(func(*corev1.PersistentVolumeClaim) {}),
		claim(func(c *corev1.PersistentVolumeClaim) { c.Status.Capacity = amount }),
		claim(func(c *corev1.PersistentVolumeClaim) { c.Status.AllocatedResources = amount }),
		claim(func(c *corev1.PersistentVolumeClaim) {
			c.Status.Conditions = []corev1.PersistentVolumeClaimCondition{{Type: corev1.PersistentVolumeClaimResizing}}
		}),
		claim(func(c *corev1.PersistentVolumeClaim) {
			c.Status.AllocatedResourceStatuses = map[corev1.ResourceName]corev1.ClaimResourceStatus{"storage": "x"}
		}),
		claim(func(c *corev1.PersistentVolumeClaim) { c.Labels = map[string]string{"a": "b"} }),
		claim(func(c *corev1.PersistentVolumeClaim) { c.Status.Phase = corev1.ClaimLost }),
	}
	var rs []*request
	for _, old := range claims {
		for _, updated := range claims {
			for _, subresource := range []string{"", "status"} {
				to := written{corev1.SchemeGroupVersion, "persistentvolumeclaims", "PersistentVolumeClaim", "", "default", "foo"}
				to.subresource = subresource
				rs = append(rs, to.each(updated, old)...)
			}
		}
	}
	return rs
}

func tokenMatrix() []*request {
	names := slices.AppendSeq([]string{"pod-mynode-false", "pod-othernode-false", "pod--false", "gone", ""},
		maps.Keys(matrixVolumes()))
	var rs []*request
	for _, name := range names {
		for _, uid := range []types.UID{"pod-uid", "other", ""} {
			for _, audiences := range [][]string{nil, {""}, {"foo"}, {"bar"}, {"foo", "foo"}} {
				token := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences}}
				if name != "" {
					token.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{
						APIVersion: "v1", Kind: "Pod", Name: name, UID: uid,
					}
				}
				to := written{corev1.SchemeGroupVersion, "serviceaccounts", "", "token", "ns", "mysa"}
				for _, r := range to.each(token, token) {
					r.kind = authenticationv1.SchemeGroupVersion.WithKind("TokenRequest")
					rs = append(rs, r)
				}
			}
		}
	}
	return rs
}

func certificateMatrix() []*request {
	base := certificatesv1.PodCertificateRequestSpec{
		SignerName: "example.com/foo", PodName: "certificate", PodUID: "pod-uid", ServiceAccountName: "mysa",
		ServiceAccountUID: "mysa-uid", NodeName: "mynode", NodeUID: "mynode-uid",
	}
	var rs []*request
	for _, change := range []func(*certificatesv1.PodCertificateRequestSpec){
		func(*certificatesv1.PodCertificateRequestSpec) {},
		func(s *certificatesv1.PodCertificateRequestSpec) { s.SignerName = "example.com/other" },
		func(s *certificatesv1.PodCertificateRequestSpec) { s.PodName = "certificates" },
		func(s *certificatesv1.PodCertificateRequestSpec) { s.PodName = "pod-othernode-false" },
		func(s *certificatesv1.PodCertificateRequestSpec) { s.PodName = "pod-mynode-true" },
		func(s *certificatesv1.PodCertificateRequestSpec) { s.PodName = "gone" },
		func(s *certificatesv1.PodCertificateRequestSpec) { s.PodUID = "other" },
		func(s *certificatesv1.PodCertificateRequestSpec) { s.ServiceAccountName = "gone" },
		func(s *certificatesv1.PodCertificateRequestSpec) { s.ServiceAccountUID = "other" },
		func(s *certificatesv1.PodCertificateRequestSpec) { s.NodeName = "othernode" },
		func(s *certificatesv1.PodCertificateRequestSpec) { s.NodeUID = "other" },
	} {
		request := &certificatesv1.PodCertificateRequest{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "foo"}, Spec: base,
		}
		change(&request.Spec)
		for _, subresource := range []string{"", "status"} {
			to := written{certificatesv1.SchemeGroupVersion, "podcertificaterequests", "PodCertificateRequest", "", "ns", "foo"}
			to.subresource = subresource
			rs = append(rs, to.each(request, request)...)
		}
	}
	return rs
}

func otherMatrix() []*request {
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "myns", Name: "mycm"}}
	return written{corev1.SchemeGroupVersion, "configmaps", "ConfigMap", "", "myns", "mycm"}.each(config, config)
}
