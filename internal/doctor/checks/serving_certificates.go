// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"

	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/nodeauthorizer"
	"noderestriction.plus/internal/text"
)

func servingCertificates() Check {
	return Check{
		ID: "serving-certificates", Severity: nodeauthorizer.Medium, Worst: Bad,
		Asks: "Are serving certificates of kubelets issued only for the node's own addresses?",
		Gain: "answers for another kubelet, or for a service, with a certificate that the cluster trusts",
		How: "It reads the certificate signing requests of the signer kubernetes.io/kubelet-serving that still exist, about the last hour" +
			" to day:" +
			" an approved one whose names are not among the addresses of its Node is bad, and a pending one is weak. The addresses come from" +
			" the kubelet itself, unless a policy restricts them.",
		Needs: []authorization.Request{
			{Verb: "list", Group: certificatesGroup, Resource: "certificatesigningrequests"}, {Verb: "list", Resource: "nodes"},
		}, run: runServingCertificates,
	}
}

func runServingCertificates(s *Snapshot, f *Finding) {
	requests, ok := known(s, f, &s.CSRs)
	if !ok {
		return
	}
	nodes, ok := known(s, f, &s.Nodes)
	if !ok {
		return
	}
	approved := 0
	for i := range requests {
		r := &requests[i]
		if r.Spec.SignerName != kubeletServing {
			continue
		}
		object := "CertificateSigningRequest " + text.Quote(r.Name)
		approval := conditionOf(r, certificatesv1.CertificateApproved)
		switch {
		case conditionOf(r, certificatesv1.CertificateDenied) != nil:
		case approval == nil:
			if age := s.Now.Sub(r.CreationTimestamp.Time); age > 10*time.Minute {
				fix := shell(OnCluster, "kubectl", "certificate", "approve", r.Name)
				fix.Note = "compare its names with the addresses of the node first, or run an approver that does"
				f.weak(object, "status.conditions", fix, "nobody has approved or denied it for %d minutes", int(age.Minutes()))
			}
		default:
			approved++
			node, is := strings.CutPrefix(r.Spec.Username, authorization.NodeUserPrefix)
			if foreign := foreignNames(r, node, nodes); len(foreign) > 0 || !is {
				fix := deletion("certificatesigningrequest", "", r.Name)
				fix.Note = "its certificate stays valid until it expires: delete its key on the node, and find out who approves; restrict" +
					" nodes.addresses"
				f.bad(object, "spec.request", fix, "it was approved (%s: %s) for %s, which are not addresses of its Node", text.Quote(approval.Reason),
					text.Quote(approval.Message), text.QuoteAll(foreign))
			}
		}
	}
	f.note("%d approved requests of kubelets for serving certificates", approved)
}

func conditionOf(r *certificatesv1.CertificateSigningRequest,
	t certificatesv1.RequestConditionType,
) *certificatesv1.CertificateSigningRequestCondition {
	for i := range r.Status.Conditions {
		if c := &r.Status.Conditions[i]; c.Type == t && c.Status == corev1.ConditionTrue {
			return c
		}
	}
	return nil
}

// foreignNames returns the names in a request that are not addresses of a Node.
func foreignNames(r *certificatesv1.CertificateSigningRequest, node string, nodes []corev1.Node) []string {
	block, _ := pem.Decode(r.Spec.Request)
	if block == nil {
		return nil
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil
	}
	var addresses []string
	for i := range nodes {
		if nodes[i].Name == node {
			for _, a := range nodes[i].Status.Addresses {
				addresses = append(addresses, a.Address)
			}
		}
	}
	if len(addresses) == 0 {
		return nil // a Node that is gone
	}
	var foreign []string
	for _, name := range request.DNSNames {
		if name != node && !slices.Contains(addresses, name) {
			foreign = append(foreign, name)
		}
	}
	for _, ip := range request.IPAddresses {
		if !slices.Contains(addresses, ip.String()) {
			foreign = append(foreign, ip.String())
		}
	}
	return foreign
}
