// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package attack

import (
	"cmp"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
)

// noToken is why attacks that request a token are never sent.
const noToken = "the API server ignores dryRun in a request for a token, and issues the token"

func otherAttacks() []Attack {
	return []Attack{
		{
			ID: "renew-lease-of-another", Rule: "baseline-leases", Technique: indicatorBlocking, Stock: Authorizer,
			Does: "renews the lease of another Node, so that a dead node looks alive",
			write: func(s *state) (*write, string) {
				if s.otherObject == nil {
					return nil, "no other Node is known"
				}
				lease := object{
					"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
					"metadata": object{"name": textAt(s.otherObject, "metadata", "name"), "namespace": "kube-node-lease"},
				}
				return patchOf("leases.coordination.k8s.io", "", lease, spec(object{"holderIdentity": s.node})), ""
			},
		},
		{
			ID: "credential-of-another", Rule: "baseline-certificate-signing-requests", Technique: forgeCredentials, Stock: NodeRestriction,
			Does: "requests the client certificate of another node",
			write: func(s *state) (*write, string) {
				request, err := certificateRequest("system:node:" + textAt(s.otherObject, "metadata", "name"))
				if err != nil {
					return nil, err.Error()
				}
				return creation("certificatesigningrequests.certificates.k8s.io", object{
					"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": object{"name": "nrp-attack"},
					"spec": object{
						"signerName": "kubernetes.io/kube-apiserver-client-kubelet", "request": request,
						"usages": []any{"digital signature", "client auth"},
					},
				}), ""
			},
		},
		{
			ID: "certificate-for-pod-elsewhere", Rule: "baseline-pod-certificate-requests", Technique: forgeCredentials, Stock: NodeRestriction,
			Does: "requests a certificate for a pod of another node",
			write: func(s *state) (*write, string) {
				switch {
				case s.own == nil:
					return nil, "the Node does not exist"
				case s.otherPod == nil:
					return nil, noOtherPod
				case textAt(s.otherPod, "metadata", "uid") == "":
					return nil, "the UID of the pod of another node is not known"
				}
				stub, err := signedRequest("")
				if err != nil {
					return nil, err.Error()
				}
				return creation("podcertificaterequests.certificates.k8s.io", object{
					"apiVersion": "certificates.k8s.io/v1", "kind": "PodCertificateRequest",
					"metadata": object{"name": "nrp-attack", "namespace": textAt(s.otherPod, "metadata", "namespace")},
					"spec": object{
						"signerName": "nrp-attack.example.com/none", "stubPKCS10Request": base64.StdEncoding.EncodeToString(stub),
						"nodeName": s.node, "nodeUID": textAt(s.own, "metadata", "uid"),
						"podName": textAt(s.otherPod, "metadata", "name"), "podUID": textAt(s.otherPod, "metadata", "uid"),
						// A kubelet cannot read the account. Nothing compares its UID before the node of the pod.
						"serviceAccountName": cmp.Or(textAt(s.otherPod, "spec", "serviceAccountName"), "default"), "serviceAccountUID": someUID,
					},
				}), ""
			},
		},
		{
			ID: "csinode-of-another", Rule: "baseline-csi-nodes", Technique: dataManipulation, Stock: NodeRestriction,
			Does: "creates the CSINode of another node",
			write: func(s *state) (*write, string) {
				return creation("csinodes.storage.k8s.io", csiNode(s.node+"-nrp-attack")), ""
			},
		},
		{
			ID: "csinode-with-owner", Rule: "csi-nodes", Technique: persistenceAccount,
			Does: "creates its CSINode as owned by another Node",
			write: func(s *state) (*write, string) {
				return creation("csinodes.storage.k8s.io", mergePatch(csiNode(s.node), metadata(object{"ownerReferences": []any{
					object{"apiVersion": "v1", "kind": "Node", "name": textAt(s.otherObject, "metadata", "name"), "uid": someUID},
				}}))), ""
			},
		},
		{
			ID: "resource-slice-of-another", Rule: "baseline-resource-slices", Technique: dataManipulation, Stock: NodeRestriction,
			Does: "creates a ResourceSlice of another node",
			write: func(s *state) (*write, string) {
				return creation("resourceslices.resource.k8s.io", resourceSlice(textAt(s.otherObject, "metadata", "name"))), ""
			},
		},
		{
			ID: "offer-devices", Rule: "resource-slices", Technique: adversaryInMiddle,
			Does: "offers devices that it does not have, to attract the pods that need them",
			write: func(s *state) (*write, string) {
				return creation("resourceslices.resource.k8s.io", resourceSlice(s.node)), ""
			},
		},
		{
			ID: "event-about-another", Rule: "events", Technique: dataManipulation,
			Does: "writes an Event about another Node, which people and alerts read",
			write: func(s *state) (*write, string) {
				return creation("events", object{
					"apiVersion": "v1", "kind": "Event", "metadata": object{"name": "nrp-attack", "namespace": "default"},
					"involvedObject": object{"apiVersion": "v1", "kind": "Node", "name": textAt(s.otherObject, "metadata", "name")},
					"reason":         "NodeNotReady", "message": "nrp-attack", "type": "Warning", "source": object{"component": "kubelet"},
				}), ""
			},
		},
		{
			ID: "label-claim", Rule: "baseline-persistent-volume-claims", Technique: dataManipulation, Stock: NodeRestriction,
			Does: "labels the claim of a pod on its node",
			write: func(s *state) (*write, string) {
				if s.claim == nil {
					return nil, "no pod on the node uses a PersistentVolumeClaim"
				}
				return patchOf("persistentvolumeclaims", "status", s.claim, metadata(object{"labels": object{"example.com/a": "b"}})), ""
			},
		},
		{
			ID: "token-of-controller", Rule: "service-account-tokens", Technique: stealToken, Stock: NotTried,
			Does:  "requests a token of a controller's service account for a pod on its node",
			write: func(*state) (*write, string) { return nil, noToken },
		},
		{
			ID: "token-for-pod-elsewhere", Rule: "baseline-service-account-tokens", Technique: stealToken, Stock: NotTried,
			Does:  "requests a token for a pod of another node",
			write: func(*state) (*write, string) { return nil, noToken },
		},
		{
			ID: "bind-cluster-admin", Technique: clusterRoles, Stock: Authorizer,
			Does: "binds its own user to cluster-admin",
			write: func(s *state) (*write, string) {
				return creation("clusterrolebindings.rbac.authorization.k8s.io", object{
					"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": object{"name": "nrp-attack"},
					"roleRef":  object{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
					"subjects": []any{object{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "system:node:" + s.node}},
				}), ""
			},
		},
	}
}

func csiNode(name string) object {
	return object{
		"apiVersion": "storage.k8s.io/v1", "kind": "CSINode", "metadata": object{"name": name}, "spec": object{"drivers": []any{}},
	}
}

func resourceSlice(node string) object {
	return object{
		"apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice", "metadata": object{"name": "nrp-attack"},
		"spec": object{
			"driver": "gpu.example.com", "nodeName": node,
			"pool":    object{"name": "nrp-attack", "generation": int64(1), "resourceSliceCount": int64(1)},
			"devices": []any{object{"name": "gpu-0"}},
		},
	}
}

// certificateRequest returns a request for the client certificate of a node, in PEM and base64.
func certificateRequest(name string) (string, error) {
	request, err := signedRequest(name, "system:nodes")
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request})), nil
}

// signedRequest returns a PKCS #10 request in DER, signed with a key that everybody knows: a dry run gets no certificate.
func signedRequest(name string, organizations ...string) ([]byte, error) {
	return x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: name, Organization: organizations},
	}, ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
}
