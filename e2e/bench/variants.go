// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"noderestriction.plus/e2e/process"
	"noderestriction.plus/e2e/product"
)

// variant is a way of restricting kubelets.
type variant struct {
	name  string
	about string
	// manifests wire it to the API server; empty: nothing does.
	manifests []byte
	// process is its program, if it has one, and calls how often that was called.
	process *process.Process
	// url is where that program takes reviews.
	url   string
	calls func(ctx context.Context) (float64, error)
	// denies says that it denies what it is to deny.
	denies bool
	// skips says that it is not asked about what is measured.
	skips bool
}

// called is how often the variant's program has been called, never if it has none.
func (v *variant) called(ctx context.Context) (float64, error) {
	if v.process == nil {
		return 0, nil
	}
	return v.calls(ctx)
}

const wholeConfiguration = "nrp-bench"

// judged is the product when it is asked about everything.
const judged = "judged"

// judgeEverything is a webhook without any match condition, so that it is asked about every write.
func judgeEverything(url string, caBundle string) []byte {
	return fmt.Appendf(nil, `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: %s}
webhooks:
- name: everything.bench.example.com
  admissionReviewVersions: [v1]
  sideEffects: NoneOnDryRun
  failurePolicy: Fail
  timeoutSeconds: 10
  clientConfig: {url: %q, caBundle: %s}
  rules:
  - {apiGroups: [""], apiVersions: [v1], operations: [UPDATE], resources: [nodes/status, pods/status]}
`, wholeConfiguration, url+"/admit", caBundle)
}

// admissionPolicy says in CEL what six rules of the product say.
const admissionPolicy = `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: nrp-bench}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
    - {apiGroups: [""], apiVersions: [v1], operations: [UPDATE], resources: [nodes/status, pods/status]}
  matchConditions:
  - {name: kubelet, expression: "request.userInfo.username.startsWith('system:node:')"}
  validations:
  - expression: "object.metadata.?labels.orValue({}) == oldObject.metadata.?labels.orValue({})"
    reason: Forbidden
  - expression: "object.metadata.?annotations.orValue({}) == oldObject.metadata.?annotations.orValue({})"
    reason: Forbidden
  - expression: "object.metadata.?finalizers.orValue([]) == oldObject.metadata.?finalizers.orValue([])"
    reason: Forbidden
  - expression: "object.metadata.?ownerReferences.orValue([]) == oldObject.metadata.?ownerReferences.orValue([])"
    reason: Forbidden
  - expression: >-
      request.resource.resource != 'nodes' ||
      object.status.?addresses.orValue([]) == oldObject.status.?addresses.orValue([])
    reason: Forbidden
  - expression: >-
      request.resource.resource != 'nodes' ||
      object.status.?capacity.orValue({}) == oldObject.status.?capacity.orValue({})
    reason: Forbidden
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: nrp-bench}
spec: {policyName: nrp-bench, validationActions: [Deny]}
`

// productCalls is how many writes the product has judged.
func productCalls(p *product.Product) func(context.Context) (float64, error) {
	return func(ctx context.Context) (float64, error) {
		m, err := p.Metrics(ctx)
		return m.Sum("node_restriction_plus_evaluations_total"), err
	}
}

// servedCalls is how often a webhook to compare with was called.
func servedCalls(client *http.Client, url string) func(context.Context) (float64, error) {
	return func(ctx context.Context) (float64, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/calls", http.NoBody)
		if err != nil {
			return 0, err
		}
		response, err := client.Do(request)
		if err != nil {
			return 0, err
		}
		defer response.Body.Close()
		var text [32]byte
		n, _ := response.Body.Read(text[:])
		return strconv.ParseFloat(strings.TrimSpace(string(text[:n])), 64)
	}
}
