// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"crypto/x509"
	"encoding/pem"

	admissionv1 "k8s.io/api/admission/v1"
	certificatesv1 "k8s.io/api/certificates/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
)

func baselineCertificateSigningRequests() policy.Rule {
	return policy.Rule{
		ID: "baseline-certificate-signing-requests",
		Doc: policy.Doc{
			Title: "A kubelet may ask for kubelet certificates in its own name only",
			Text: "Such requests are often approved without a person. Without this a kubelet gets the credential of " +
				"another, or a certificate to serve in its place.",
			Kubelet: "A kubelet renews its client and serving certificates for the user in its credential.",
			Attack:  "kubectl --kubeconfig kubelet.conf create -f csr-for-another-node.yaml",
			Spec:    baselineSpec,
			Fields:  []string{"spec.request", "spec.signerName"},
			Since:   "v0.1.0",
			Source:  baselineSource + " (admitCSR)",
		},
		OptIn: true,
		Targets: []policy.Target{
			target("certificatesigningrequests.certificates.k8s.io", "", admissionv1.Create),
			target("certificatesigningrequests.certificates.k8s.io", policy.AnySubresource, admissionv1.Create),
		},
		Agents:  kubeletsOnly(onlyPlugin),
		Compile: compileBaseline(v1alpha1.BaselineCertificateSigningRequests, checkBaselineSigningRequest),
		CEL: policy.CEL{
			Kind: policy.NotAtAll, Strictest: `{"resources":["certificatesigningrequests"]}`,
			Why: "CEL does not parse certificate requests",
		},
	}
}

func checkBaselineSigningRequest(r *policy.Request) []policy.Violation {
	csr, ok := decoded[struct {
		Spec struct {
			Request    []byte `json:"request"`
			SignerName string `json:"signerName"`
		} `json:"spec"`
	}](r.Object)
	if !ok {
		return malformed("")
	}
	switch csr.Spec.SignerName {
	case certificatesv1.KubeletServingSignerName, certificatesv1.KubeAPIServerClientKubeletSignerName:
	default:
		return nil
	}
	name, ok := commonName(csr.Spec.Request)
	switch {
	case !ok:
		return onlyViolation("spec.request", "must be a certificate request in PEM")
	case name != r.User.Username:
		return onlyViolation("spec.request", "must not request a certificate for "+text.Quote(name))
	}
	return nil
}

// commonName returns the subject's common name in a certificate request, and false if the request cannot be parsed.
func commonName(request []byte) (string, bool) {
	block, _ := pem.Decode(request)
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return "", false
	}
	parsed, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return "", false
	}
	return parsed.Subject.CommonName, true
}
