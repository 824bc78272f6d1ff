// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package checks

import (
	rbacv1 "k8s.io/api/rbac/v1"

	"noderestriction.plus/internal/nodeauthorizer"
)

func csrOtherSigners() Check {
	return Check{
		ID: "csr-other-signers", Severity: nodeauthorizer.High, Worst: Bad,
		Asks: "Can only kube-controller-manager and administrators approve certificates of other signers of Kubernetes?",
		Gain: "gets a client certificate of any user, or a serving certificate with the address of another node",
		How: "It reads who may approve for the signers kubernetes.io/kube-apiserver-client and kubernetes.io/kubelet-serving, or sign as" +
			" one of them. A controller that approves serving certificates of kubelets is weak: a stolen node that runs it approves its own.",
		Needs: rbacNeeds(), run: runCSROtherSigners,
	}
}

func runCSROtherSigners(s *Snapshot, f *Finding) {
	e, ok := s.evaluator(f)
	if !ok {
		return
	}
	type condition = func(string, *rbacv1.PolicyRule) bool
	for _, name := range []string{apiserverClient, kubeletServing} {
		f.who(s, e, &power{does: "may approve for the signer " + name, rules: []condition{signer("approve", name), approval()}})
		f.who(s, e, &power{does: "may sign as " + name, rules: []condition{signer("sign", name), signing()}})
	}
}
