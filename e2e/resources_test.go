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

	"noderestriction.plus/e2e/suite"
)

// resource is a resource that fixtures write or look up.
type resource struct {
	plural, group, kind string
	namespaced          bool
	// minimal has the fields that the API server requires, besides the name.
	minimal string
	// since is the minor release of Kubernetes 1 that first has this version of the resource, if not every supported one has it.
	since int
}

// resources returns the resources that fixtures write or look up.
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
			since:   34,
		},
		{
			plural: "certificatesigningrequests", group: "certificates.k8s.io", kind: "CertificateSigningRequest",
			minimal: `{"spec":{"usages":["digital signature"]}}`,
		},
		{plural: "podcertificaterequests", group: "certificates.k8s.io", kind: "PodCertificateRequest", namespaced: true, since: 37},
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

// resourceOf returns the resource with a name as in fixtures, for example leases.coordination.k8s.io.
func resourceOf(t *testing.T, name string) resource {
	t.Helper()
	plural, group, _ := strings.Cut(name, ".")
	for _, r := range resources() {
		if r.plural == plural && r.group == group {
			return r
		}
	}
	t.Fatalf("unknown resource %s", name)
	return resource{}
}

// resourceOfKind returns the resource of a kind.
func resourceOfKind(t *testing.T, kind string) resource {
	t.Helper()
	for _, r := range resources() {
		if r.kind == kind {
			return r
		}
	}
	t.Fatalf("unknown kind %s", kind)
	return resource{}
}

func (r resource) apiVersion() string {
	return schema.GroupVersion{Group: r.group, Version: "v1"}.String()
}

// collection returns the path of the collection, in the namespace if the resource is namespaced.
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

// typed returns an empty object.
func (r resource) typed() runtime.Object {
	object, err := scheme.Scheme.New(schema.GroupVersionKind{Group: r.group, Version: "v1", Kind: r.kind})
	if err != nil {
		panic(err) // the kinds of resources are in the scheme
	}
	return object
}

// completed returns an object with the missing fields that the API server requires.
func (r resource) completed(t *testing.T, object []byte) []byte {
	t.Helper()
	minimal := r.minimal
	switch r.kind {
	case "PodCertificateRequest":
		minimal = string(suite.JSON(t, map[string]any{"spec": map[string]any{"stubPKCS10Request": stubRequest(t)}}))
	case "Pod":
		minimal = `{"spec":{"containers":[{"name":"c","image":"registry.example.com/c"}]}}`
	}
	head := suite.JSON(t, map[string]string{"apiVersion": r.apiVersion(), "kind": r.kind})
	if minimal != "" {
		head = merged(t, head, []byte(minimal))
	}
	return merged(t, head, object)
}

// stubRequest returns a certificate signing request with only a key.
func stubRequest(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	suite.Check(t, err)
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	suite.Check(t, err)
	return request
}
