// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// testPolicies shows what the API server itself, by the schema of the CRD, says of policies.
func (s *suite) testPolicies(t *testing.T) {
	config, err := s.stock.Admin()
	admin := newCaller(t, config, err)
	long := strings.Repeat("a", 318)
	many := strings.TrimSuffix(strings.Repeat(`"a*%d",`, 129), ",")
	for i := range 129 {
		many = strings.Replace(many, "%d", fmt.Sprint(i), 1)
	}
	for _, test := range []struct{ name, spec, want string }{
		{
			"Deny with Warn",
			`{"validationActions":["Deny","Warn"]}`,
			"spec.validationActions: Invalid value",
		},
		{
			"an unknown action",
			`{"validationActions":["Refuse"]}`,
			"spec.validationActions[0]: Unsupported value",
		},
		{
			"an action twice",
			`{"validationActions":["Audit","Audit"]}`,
			"spec.validationActions: Invalid value: an action must not be listed twice",
		},
		{
			"a pattern with a space",
			`{"match":{"nodeNames":["a b"]}}`,
			"spec.match.nodeNames[0]: Invalid value",
		},
		{
			"an empty pattern",
			`{"nodes":{"finalizers":{"allowed":[""]}}}`,
			"spec.nodes.finalizers.allowed[0]: Invalid value",
		},
		{
			"a pattern that is too long",
			fmt.Sprintf(`{"nodes":{"annotations":{"allowed":[%q]}}}`, long),
			"spec.nodes.annotations.allowed[0]: Too long",
		},
		{
			"too many patterns",
			fmt.Sprintf(`{"nodes":{"labels":{"update":{"allowed":[%s]}}}}`, many),
			"spec.nodes.labels.update.allowed: Too many",
		},
		{
			"an address that is no range",
			`{"nodes":{"annotations":{"providedNodeIPCIDRs":["10.0.0.1"]}}}`,
			"spec.nodes.annotations.providedNodeIPCIDRs[0]: Invalid value",
		},
		{
			"a limit that is too small",
			`{"nodes":{"annotations":{"maxTotalBytes":1}}}`,
			"spec.nodes.annotations.maxTotalBytes: Invalid value",
		},
		{
			"an unknown effect of a taint",
			`{"nodes":{"taints":{"allowed":[{"key":"a","effect":"Never"}]}}}`,
			"spec.nodes.taints.allowed[0].effect: Unsupported value",
		},
		{
			"a taint without a key",
			`{"nodes":{"taints":{"required":[{"effect":"NoExecute"}]}}}`,
			"spec.nodes.taints.required[0].key: Required value",
		},
		{
			"an unknown way to cordon",
			`{"nodes":{"unschedulable":{"changes":"Some"}}}`,
			"spec.nodes.unschedulable.changes: Unsupported value",
		},
		{
			"a field that does not exist",
			`{"nodes":{"labels":{"allow":["a"]}}}`,
			`unknown field "spec.nodes.labels.allow"`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, err := admin.do(t.Context(), call{
				method: http.MethodPost, path: "/apis/noderestriction.plus/v1alpha1/noderestrictionpolicies",
				query:       url.Values{"fieldValidation": {"Strict"}, "dryRun": {"All"}},
				contentType: mediaJSON,
				body: fmt.Appendf(nil, `{"apiVersion":"noderestriction.plus/v1alpha1","kind":"NodeRestrictionPolicy",`+
					`"metadata":{"name":"bad"},"spec":%s}`, test.spec),
			})
			check(t, err)
			webhook, _ := a.deniedBy()
			if a.code < http.StatusBadRequest || webhook != "" || !strings.Contains(a.Message, test.want) {
				t.Errorf("got %.300s\nwant %s", a, test.want)
			}
		})
	}
	t.Run("kubectl explain says what omission means", func(t *testing.T) { s.testExplain(t) })
}

func (s *suite) testExplain(t *testing.T) {
	out, err := s.kubectl.Run(t.Context(), nil, "explain", "nrp.spec.nodes.labels")
	check(t, err)
	text := strings.Join(strings.Fields(out), " ")
	for _, want := range []string{
		"Omitted: labels are not restricted. Empty ({}):", "registration <Object>", "update <Object>",
		"Omitted or empty ({}):",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("want %q in\n%s", want, out)
		}
	}
}

// testStrays shows that the product writes nothing but records to standard output.
func (s *suite) testStrays(t *testing.T) {
	strays, err := s.product.Records.Strays()
	check(t, err)
	for _, line := range strays {
		t.Errorf("%q", line)
	}
}
