// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package authorizer_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/internal/nodeauthorizer"
)

const related = "related" // the name of every object that is related to the node

// relate creates an object of each kind that Node relates to a node, and waits until both API servers know it.
func (e *environment) relate(t *testing.T) *nodeauthorizer.Names {
	t.Helper()
	ctx, meta := t.Context(), metav1.ObjectMeta{Name: related}
	e.CreateNode(t, node)
	account, err := e.Admin.CoreV1().ServiceAccounts("default").Create(ctx, &corev1.ServiceAccount{ObjectMeta: meta}, metav1.CreateOptions{})
	suite.Check(t, err)
	_, err = e.Admin.CoreV1().PersistentVolumes().Create(ctx, &corev1.PersistentVolume{
		ObjectMeta: meta, Spec: corev1.PersistentVolumeSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Capacity:    corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
			ClaimRef:    &corev1.ObjectReference{Namespace: "default", Name: related},
			PersistentVolumeSource: corev1.PersistentVolumeSource{
				CSI: &corev1.CSIPersistentVolumeSource{Driver: "csi.example.com", VolumeHandle: "1"},
			},
		},
	}, metav1.CreateOptions{})
	suite.Check(t, err)
	pod, err := e.Admin.CoreV1().Pods("default").Create(ctx, e.relatedPod(), metav1.CreateOptions{})
	suite.Check(t, err)
	_, err = e.Admin.StorageV1().VolumeAttachments().Create(ctx, &storagev1.VolumeAttachment{
		ObjectMeta: meta, Spec: storagev1.VolumeAttachmentSpec{
			Attacher: "csi.example.com", NodeName: node, Source: storagev1.VolumeAttachmentSource{PersistentVolumeName: new(related)},
		},
	}, metav1.CreateOptions{})
	suite.Check(t, err)
	_, err = e.Admin.ResourceV1().ResourceSlices().Create(ctx, &resourcev1.ResourceSlice{
		ObjectMeta: meta, Spec: resourcev1.ResourceSliceSpec{
			Driver: "dra.example.com", NodeName: new(node), Pool: resourcev1.ResourcePool{Name: node, ResourceSliceCount: 1},
		},
	}, metav1.CreateOptions{})
	suite.Check(t, err)
	e.requestCertificate(t, pod, account)
	return e.awaitRelations(t)
}

func (e *environment) relatedPod() *corev1.Pod {
	reference := corev1.LocalObjectReference{Name: related}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: related},
		Spec: corev1.PodSpec{
			NodeName: node, ServiceAccountName: related, AutomountServiceAccountToken: new(false),
			Containers:     []corev1.Container{{Name: "c", Image: "c"}},
			ResourceClaims: []corev1.PodResourceClaim{{Name: "claim", ResourceClaimName: new(related)}},
			Volumes: []corev1.Volume{
				{Name: "secret", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: related}}},
				{Name: "map", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: reference}}},
				{Name: "claim", VolumeSource: corev1.VolumeSource{
					PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: related},
				}},
			},
		},
	}
}

// requestCertificate creates a PodCertificateRequest of the pod.
func (e *environment) requestCertificate(t *testing.T, pod *corev1.Pod, account *corev1.ServiceAccount) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	suite.Check(t, err)
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	suite.Check(t, err)
	_, err = e.Admin.CertificatesV1().PodCertificateRequests("default").Create(t.Context(), &certificatesv1.PodCertificateRequest{
		ObjectMeta: metav1.ObjectMeta{Name: related}, Spec: certificatesv1.PodCertificateRequestSpec{
			SignerName: "example.com/signer", PodName: pod.Name, PodUID: pod.UID, ServiceAccountName: account.Name, ServiceAccountUID: account.UID,
			NodeName: types.NodeName(node), NodeUID: e.GetNode(t, node).UID, MaxExpirationSeconds: new(int32(86400)), StubPKCS10Request: request,
		},
	}, metav1.CreateOptions{})
	suite.Check(t, err)
}

// awaitRelations waits until Node allows both API servers' kubelets to get every related object.
func (e *environment) awaitRelations(t *testing.T) *nodeauthorizer.Names {
	t.Helper()
	names := &nodeauthorizer.Names{
		Node: node, OtherNode: "worker-2", Namespace: "kube-system", Unrelated: "unrelated", Related: map[string]nodeauthorizer.NamespacedName{},
	}
	for _, kind := range nodeauthorizer.RelatedResources() {
		names.Related[kind] = nodeauthorizer.NamespacedName{Namespace: "default", Name: related}
	}
	for _, kind := range []string{"persistentvolumes", "volumeattachments", "resourceslices"} {
		names.Related[kind] = nodeauthorizer.NamespacedName{Name: related}
	}
	table, err := nodeauthorizer.New(nodeauthorizer.Newest, nil)
	suite.Check(t, err)
	suite.Eventually(t, timeout, func() error {
		var errs []error
		for _, cell := range table.Cells() {
			request, ok := cell.Request(names)
			if !ok || cell.Object != nodeauthorizer.Linked || cell.Intent == nodeauthorizer.Refused {
				continue
			}
			for _, s := range []*server{e.stock, e.protected} {
				if status := s.ask(t, &request); !status.Allowed {
					errs = append(errs, fmt.Errorf("%s: %s", cell.Key(), status.Reason))
				}
			}
		}
		return errors.Join(errs...)
	})
	return names
}
