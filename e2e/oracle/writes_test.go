// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

//nolint:staticcheck // SA4000: each call draws another value.
package oracle

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// request draws a write. Many are like a kubelet's except for one field.
func (d draw) request() *request {
	r := &request{user: "system:node:worker-1", groups: []string{"system:nodes", "system:authenticated"}}
	if d.rarely() {
		r.user = "system:node:" + d.nodeName()
	}
	if d.rarely() {
		r.user = one(d, "System:node:worker-1", " system:node:worker-1", "system:nodes:worker-1", "system:node", "admin",
			"system:serviceaccount:shop:web", "system:node:worker-1:x", "system:node:system:node:worker-1")
	}
	if d.rarely() {
		r.groups = one(d, nil, []string{"system:authenticated"}, []string{"System:Nodes"}, []string{"system:node"},
			[]string{"system:nodes"}, []string{"system:masters", "system:nodes"})
	}
	r.operation = one(d, admissionv1.Create, admissionv1.Update, admissionv1.Delete)
	if d.rarely() && d.rarely() {
		r.operation = admissionv1.Connect
	}
	one(d, d.nodeWrite, d.podWrite, d.podWrite, d.evictionWrite, d.claimWrite, d.tokenWrite, d.tokenWrite, d.leaseWrite,
		d.csiNodeWrite, d.sliceWrite, d.signingWrite, d.certificateWrite, d.certificateWrite, d.otherWrite)(r)
	switch {
	case d.rarely() && d.rarely():
		r.name = ""
	case d.rarely() && d.rarely():
		r.subresource = one(d, "status", "token", "approval", "binding", "ephemeralcontainers", "resize", "foo", "Status",
			"proxy")
	case d.rarely() && d.rarely():
		r.namespace = d.namespace()
	case d.rarely() && d.rarely():
		r.object = nil
	case d.rarely() && d.rarely():
		r.old = nil
	}
	return r
}

// is sets the resource of a write, and the old and the updated object if the operation has them.
func (r *request) is(gv schema.GroupVersion, resource, kind string, old, updated metav1.Object) {
	r.resource, r.kind = gv.WithResource(resource), gv.WithKind(kind)
	if r.operation != admissionv1.Create {
		r.old = old.(runtime.Object)
	}
	if r.operation != admissionv1.Delete {
		r.object = updated.(runtime.Object)
	}
	r.namespace, r.name = updated.GetNamespace(), updated.GetName()
}

func (d draw) nodeWrite(r *request) {
	r.subresource = one(d, "", "status")
	old := d.node(d.nodeName())
	updated := old.DeepCopy()
	for range d.IntN(3) {
		d.changeNode(updated)
	}
	r.is(corev1.SchemeGroupVersion, "nodes", "Node", old, updated)
}

func (d draw) podWrite(r *request) {
	r.subresource = one(d, "", "status")
	if d.IntN(3) == 0 {
		r.operation, r.subresource = admissionv1.Create, ""
		pod := d.mirrorPod()
		r.is(corev1.SchemeGroupVersion, "pods", "Pod", pod, pod)
		return
	}
	old := d.pod(d.namespace(), d.podName())
	old.Labels = d.labels()
	d.claimStatuses(&old.Status)
	updated := old.DeepCopy()
	switch d.IntN(5) {
	case 0:
		updated.Labels = d.labels()
	case 1:
		d.claimStatuses(&updated.Status)
	case 2:
		updated.Status.Phase = corev1.PodRunning
	case 3:
		updated.Annotations = map[string]string{"a": "b"}
	}
	r.is(corev1.SchemeGroupVersion, "pods", "Pod", old, updated)
}

// claimStatuses changes a status that controllers own, often without changing its meaning.
func (d draw) claimStatuses(s *corev1.PodStatus) {
	quantity := func() *resource.Quantity {
		return some(d, resource.MustParse("1"), resource.MustParse("1000m"), resource.MustParse("2"))
	}
	switch d.IntN(4) {
	case 0:
		s.ResourceClaimStatuses = one(d, nil, []corev1.PodResourceClaimStatus{},
			[]corev1.PodResourceClaimStatus{{Name: "a", ResourceClaimName: some(d, "x", "y", "")}})
	case 1:
		s.ExtendedResourceClaimStatus = some(d, corev1.PodExtendedResourceClaimStatus{
			ResourceClaimName: one(d, "a", "b"),
			RequestMappings: one(d, nil, []corev1.ContainerExtendedResourceRequest{},
				[]corev1.ContainerExtendedResourceRequest{{ContainerName: one(d, "a", "b")}}),
		})
	case 2:
		s.NodeAllocatableResourceClaimStatuses = []corev1.NodeAllocatableResourceClaimStatus{{
			ResourceClaimName: "a",
			Containers:        one(d, nil, []string{}, []string{"c"}),
			Mapping:           one(d, nil, []corev1.NodeAllocatableMappedResources{{Name: "cpu", Quantity: quantity()}}),
			Overhead: one(d, nil, []corev1.NodeAllocatableOverheadResources{{
				Name: "memory", PerPod: quantity(), PerContainer: quantity(),
			}}),
		}}
	}
}

func (d draw) evictionWrite(r *request) {
	eviction := &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: d.namespace(), Name: d.podName()}}
	if d.often() {
		r.operation = admissionv1.Create
	}
	r.is(corev1.SchemeGroupVersion, "pods", "Eviction", eviction, eviction)
	r.kind = policyv1.SchemeGroupVersion.WithKind("Eviction")
	r.subresource = "eviction"
	if d.rarely() {
		r.name = d.podName()
	}
}

func (d draw) claimWrite(r *request) {
	if d.often() {
		r.operation, r.subresource = admissionv1.Update, "status"
	}
	old := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: "data", Labels: d.labels(), ResourceVersion: "1", CreationTimestamp: metav1.Unix(1e9, 0),
		},
		Spec: corev1.PersistentVolumeClaimSpec{VolumeName: "pv-1", Resources: corev1.VolumeResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
		}},
		Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound},
	}
	updated := old.DeepCopy()
	amount := corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(one(d, "1Gi", "1024Mi", "2Gi"))}
	for range d.IntN(3) {
		one(d,
			func() { updated.Status.Capacity = amount },
			func() { updated.Status.AllocatedResources = amount },
			func() {
				updated.Status.AllocatedResourceStatuses = map[corev1.ResourceName]corev1.ClaimResourceStatus{
					corev1.ResourceStorage: corev1.PersistentVolumeClaimNodeResizePending,
				}
			},
			func() {
				updated.Status.Conditions = []corev1.PersistentVolumeClaimCondition{{Type: "Resizing", Status: "True"}}
			},
			func() { updated.ResourceVersion = one(d, "", "2") },
			func() { updated.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubelet"}} },
			func() { updated.Spec.Resources.Requests = amount },
			func() { updated.Labels = d.labels() },
			func() { updated.Labels = withKey(updated.Labels, nil) },
			func() { updated.Finalizers = one(d, nil, []string{}, []string{"example.com/x"}) },
			func() { updated.Status.Phase = one(d, corev1.ClaimBound, corev1.ClaimLost) },
			func() { updated.Spec.VolumeName = one(d, "pv-1", "pv-2") },
			func() { updated.Status.CurrentVolumeAttributesClassName = some(d, "", "gold") },
			func() { updated.CreationTimestamp = one(d, metav1.Unix(1e9, 0), metav1.Unix(2e9, 0), metav1.Time{}) },
		)()
	}
	r.is(corev1.SchemeGroupVersion, "persistentvolumeclaims", "PersistentVolumeClaim", old, updated)
}

func (d draw) tokenWrite(r *request) {
	if d.often() {
		r.operation = admissionv1.Create
	}
	name := one(d, "web", "web", "db", "job", "gone")
	token := &authenticationv1.TokenRequest{
		ObjectMeta: metav1.ObjectMeta{Namespace: d.namespace(), Name: d.account()},
		Spec: authenticationv1.TokenRequestSpec{
			Audiences: one(d, nil, []string{}, []string{d.audience()}, []string{d.audience()}, []string{d.audience()},
				[]string{d.audience(), d.audience()}),
			BoundObjectRef: &authenticationv1.BoundObjectReference{
				APIVersion: "v1", Kind: "Pod", Name: name, UID: d.uid(name),
			},
		},
	}
	if d.rarely() {
		token.Spec.BoundObjectRef = some(d, authenticationv1.BoundObjectReference{
			APIVersion: one(d, "v1", "v2"), Kind: one(d, "Pod", "pod", "Node", "Secret"), Name: d.podName(), UID: d.uid(name),
		})
	}
	r.is(corev1.SchemeGroupVersion, "serviceaccounts", "TokenRequest", token, token)
	r.kind = authenticationv1.SchemeGroupVersion.WithKind("TokenRequest")
	r.subresource = "token"
	if d.rarely() {
		r.subresource = one(d, "", "foo")
	}
}

func (d draw) leaseWrite(r *request) {
	lease := &coordinationv1.Lease{ObjectMeta: d.named(one(d, "kube-node-lease", "kube-node-lease", "kube-system", ""))}
	r.is(coordinationv1.SchemeGroupVersion, "leases", "Lease", lease, lease)
}

func (d draw) csiNodeWrite(r *request) {
	node := &storagev1.CSINode{ObjectMeta: d.named("")}
	r.subresource = one(d, "", "", "", "status")
	r.is(storagev1.SchemeGroupVersion, "csinodes", "CSINode", node, node)
}

// named draws a name, or a name that the API server generates.
func (d draw) named(namespace string) metav1.ObjectMeta {
	meta := metav1.ObjectMeta{Namespace: namespace, Name: d.nodeName()}
	if d.rarely() {
		meta.GenerateName = "worker-"
		meta.Name = one(d, "", meta.Name)
	}
	return meta
}

func (d draw) sliceWrite(r *request) {
	slice := &resourcev1.ResourceSlice{
		ObjectMeta: metav1.ObjectMeta{Name: "slice"},
		Spec:       resourcev1.ResourceSliceSpec{NodeName: some(d, d.nodeName())},
	}
	r.is(resourcev1.SchemeGroupVersion, "resourceslices", "ResourceSlice", slice, slice)
}

func (d draw) signingWrite(r *request) {
	if d.often() {
		r.operation = admissionv1.Create
	}
	csr := &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{Name: "csr"},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			SignerName: one(d, certificatesv1.KubeletServingSignerName, certificatesv1.KubeAPIServerClientKubeletSignerName,
				certificatesv1.KubeAPIServerClientSignerName, "example.com/signer", ""),
			Request: certificateRequest(one(d, "CERTIFICATE REQUEST", "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"),
				one(d, "system:node:worker-1", "system:node:"+d.nodeName(), "worker-1", "")),
		},
	}
	if d.rarely() {
		csr.Spec.Request = one(d, nil, []byte("x"),
			[]byte("-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n"))
	}
	r.is(certificatesv1.SchemeGroupVersion, "certificatesigningrequests", "CertificateSigningRequest", csr, csr)
}

func certificateRequest(block, commonName string) []byte {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader,
		&x509.CertificateRequest{Subject: pkix.Name{CommonName: commonName, Organization: []string{"system:nodes"}}}, key)
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: block, Bytes: der})
}

func (d draw) certificateWrite(r *request) {
	if d.often() {
		r.operation = admissionv1.Create
	}
	node, pod, account := d.nodeName(), one(d, "web", "web", "db", d.podName()), d.account()
	request := &certificatesv1.PodCertificateRequest{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "certificate"},
		Spec: certificatesv1.PodCertificateRequestSpec{
			SignerName: d.signer(), PodName: pod, PodUID: d.uid(pod), ServiceAccountName: account,
			ServiceAccountUID: d.uid(account), NodeName: types.NodeName(node), NodeUID: d.uid(node),
		},
	}
	r.is(certificatesv1.SchemeGroupVersion, "podcertificaterequests", "PodCertificateRequest", request, request)
	if d.rarely() {
		r.subresource = one(d, "status", "foo")
	}
}

// otherWrite draws a write that the plugin ignores, or one to a resource with a similar name.
func (d draw) otherWrite(r *request) {
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "config"}}
	r.is(corev1.SchemeGroupVersion, "configmaps", "ConfigMap", config, config)
	r.resource = one(d,
		r.resource,
		schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: one(d, "nodes", "pods")},
		schema.GroupVersionResource{Version: "v1", Resource: one(d, "leases", "secrets", "node", "Pods")},
	)
}
