// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/nodeauthorizer"
)

const (
	certificatesGroup = "certificates.k8s.io"
	clientKubelet     = "kubernetes.io/kube-apiserver-client-kubelet"
	kubeletServing    = "kubernetes.io/kubelet-serving"
	apiserverClient   = "kubernetes.io/kube-apiserver-client"
)

func mintNode() Check {
	return Check{
		ID: "mint-node", Severity: nodeauthorizer.Critical, Worst: Bad,
		Asks: "Can only kube-controller-manager and administrators have certificates of kubelets issued?",
		Gain: "gets a certificate of any node, which nothing but the CA can take back",
		How: "It reads who may approve certificate signing requests and approve for, or sign as, the signer" +
			" kubernetes.io/kube-apiserver-client-kubelet, and whose requests are approved automatically for any node name" +
			" (certificatesigningrequests/nodeclient). Bootstrap tokens have the latter on purpose, which is weak.",
		Needs: rbacNeeds(), run: runMintNode,
	}
}

// approval is the permission to approve certificate signing requests.
func approval() func(string, *rbacv1.PolicyRule) bool {
	update := authorization.Request{Verb: "update", Group: certificatesGroup, Resource: "certificatesigningrequests", Subresource: "approval"}
	patch := update
	patch.Verb = "patch"
	return anyOf(update, patch)
}

// signing is the permission to write the certificate of a request.
func signing() func(string, *rbacv1.PolicyRule) bool {
	update := authorization.Request{Verb: "update", Group: certificatesGroup, Resource: "certificatesigningrequests", Subresource: "status"}
	patch := update
	patch.Verb = "patch"
	return anyOf(update, patch)
}

// signer is a permission about a signer. Names with an asterisk stand for the signers of a domain.
func signer(verb, name string) func(string, *rbacv1.PolicyRule) bool {
	domain, _, _ := strings.Cut(name, "/")
	return anyOf(
		authorization.Request{Verb: verb, Group: certificatesGroup, Resource: "signers", Name: name},
		authorization.Request{Verb: verb, Group: certificatesGroup, Resource: "signers", Name: domain + "/*"},
	)
}

func runMintNode(s *Snapshot, f *Finding) {
	e, ok := s.evaluator(f)
	if !ok {
		return
	}
	type condition = func(string, *rbacv1.PolicyRule) bool
	f.who(s, e, &power{does: "may approve certificates of kubelets", rules: []condition{signer("approve", clientKubelet), approval()}})
	f.who(s, e, &power{does: "may sign certificates of kubelets", rules: []condition{signer("sign", clientKubelet), signing()}})
	f.who(s, e, &power{
		does: "gets a certificate of any node without an approver",
		rules: []condition{allows(authorization.Request{
			Verb: "create", Group: certificatesGroup, Resource: "certificatesigningrequests", Subresource: "nodeclient",
		})},
		weak: func(subject *rbacv1.Subject) bool {
			return subject.Kind == rbacv1.GroupKind && strings.HasPrefix(subject.Name, bootstrappersGroup)
		},
	})
}
