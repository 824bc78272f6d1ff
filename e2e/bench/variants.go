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
	// manifests register it with the API server, if it needs that.
	manifests []byte
	// process is its program, if it has one, and calls returns how often that was called.
	process *process.Process
	// url is the URL for reviews.
	url   string
	calls func(ctx context.Context) (float64, error)
	// denies is whether it denies the forbidden write.
	denies bool
	// skips is whether it is not called for the measured writes.
	skips bool
}

// called returns how often the variant's program was called, or 0 without a program.
func (v *variant) called(ctx context.Context) (float64, error) {
	if v.process == nil {
		return 0, nil
	}
	return v.calls(ctx)
}

const wholeConfiguration = "nrp-bench"

// evaluated is the product when it is called for every write.
const evaluated = "evaluated"

// callForEverything returns the configuration of a webhook without match conditions, which is called for every write.
func callForEverything(url string, caBundle string) []byte {
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

// admissionPolicy has six rules of the product in CEL.
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

// productCalls returns a function that returns how many writes the product has evaluated.
func productCalls(p *product.Product) func(context.Context) (float64, error) {
	return func(ctx context.Context) (float64, error) {
		m, err := p.Metrics(ctx)
		return m.Sum("node_restriction_plus_evaluations_total"), err
	}
}

// servedCalls returns a function that returns how often a webhook for comparison was called.
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
