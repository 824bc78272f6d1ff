// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
)

// resource is a kind of objects that fixtures write or look up.
type resource struct {
	plural, group, kind string
	namespaced          bool
	// minimal is what the API server demands of one, besides its name.
	minimal string
}

// resources are those that fixtures write or look up.
func resources() []resource {
	const rbac = "rbac.authorization.k8s.io"
	return []resource{
		{plural: "nodes", kind: "Node"},
		{plural: "pods", kind: "Pod", namespaced: true},
		{plural: "serviceaccounts", kind: "ServiceAccount", namespaced: true},
		{
			plural: "persistentvolumeclaims", kind: "PersistentVolumeClaim", namespaced: true,
			minimal: `{"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}}}}`,
		},
		{
			plural: "persistentvolumes", kind: "PersistentVolume",
			minimal: `{"spec":{"accessModes":["ReadWriteOnce"],"capacity":{"storage":"1Gi"}}}`,
		},
		{plural: "csidrivers", group: "storage.k8s.io", kind: "CSIDriver", minimal: `{"spec":{}}`},
		{plural: "csinodes", group: "storage.k8s.io", kind: "CSINode", minimal: `{"spec":{"drivers":[]}}`},
		{plural: "leases", group: "coordination.k8s.io", kind: "Lease", namespaced: true},
		{
			plural: "resourceslices", group: "resource.k8s.io", kind: "ResourceSlice",
			minimal: `{"spec":{"driver":"gpu.example.com","pool":{"name":"p","generation":1,"resourceSliceCount":1}}}`,
		},
		{
			plural: "certificatesigningrequests", group: "certificates.k8s.io", kind: "CertificateSigningRequest",
			minimal: `{"spec":{"usages":["digital signature"]}}`,
		},
		{plural: "podcertificaterequests", group: "certificates.k8s.io", kind: "PodCertificateRequest", namespaced: true},
		{plural: "events", kind: "Event", namespaced: true},
		{
			plural: "events", group: "events.k8s.io", kind: "Event", namespaced: true,
			minimal: `{"eventTime":"2026-01-01T00:00:00.000000Z","reportingController":"kubelet",` +
				`"reportingInstance":"worker-1","action":"Test","reason":"Test","type":"Normal"}`,
		},
		{plural: "clusterroles", group: rbac, kind: "ClusterRole"},
		{plural: "clusterrolebindings", group: rbac, kind: "ClusterRoleBinding"},
		{plural: "roles", group: rbac, kind: "Role", namespaced: true},
		{plural: "rolebindings", group: rbac, kind: "RoleBinding", namespaced: true},
	}
}

// resourceOf is the resource of a name as fixtures write it, such as leases.coordination.k8s.io.
func resourceOf(t *testing.T, name string) resource {
	t.Helper()
	plural, group, _ := strings.Cut(name, ".")
	for _, r := range resources() {
		if r.plural == plural && r.group == group {
			return r
		}
	}
	t.Fatalf("no test knows how to write %s", name)
	return resource{}
}

// resourceOfKind is the resource of a kind.
func resourceOfKind(t *testing.T, kind string) resource {
	t.Helper()
	for _, r := range resources() {
		if r.kind == kind {
			return r
		}
	}
	t.Fatalf("no test knows how to write a %s", kind)
	return resource{}
}

func (r resource) apiVersion() string {
	return schema.GroupVersion{Group: r.group, Version: "v1"}.String()
}

// collection is the path of all objects, in a namespace if they have one.
func (r resource) collection(namespace string) string {
	path := "/api/v1"
	if r.group != "" {
		path = "/apis/" + r.apiVersion()
	}
	if r.namespaced {
		path += "/namespaces/" + namespace
	}
	return path + "/" + r.plural
}

// typed is an empty object.
func (r resource) typed() runtime.Object {
	object, err := scheme.Scheme.New(schema.GroupVersionKind{Group: r.group, Version: "v1", Kind: r.kind})
	if err != nil {
		panic(err) // the kinds of resources are in the scheme
	}
	return object
}

// completed is an object with what the API server demands of it, where it is missing.
func (r resource) completed(t *testing.T, object []byte) []byte {
	t.Helper()
	minimal := r.minimal
	switch r.kind {
	case "PodCertificateRequest":
		minimal = string(toJSON(t, map[string]any{"spec": map[string]any{"stubPKCS10Request": stubRequest(t)}}))
	case "Pod":
		minimal = `{"spec":{"containers":[{"name":"c","image":"registry.example.com/c"}]}}`
	}
	head := toJSON(t, map[string]string{"apiVersion": r.apiVersion(), "kind": r.kind})
	if minimal != "" {
		head = merged(t, head, []byte(minimal))
	}
	return merged(t, head, object)
}

// stubRequest is a certificate signing request that says nothing but who has the key.
func stubRequest(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	check(t, err)
	return request
}
