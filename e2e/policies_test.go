// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"noderestriction.plus/e2e/suite"
)

// testPolicies shows which policies the API server refuses because of the schema of the CRD.
func (s *environment) testPolicies(t *testing.T) {
	admin := suite.Admin(t, s.ControlPlane.APIServer)
	long := strings.Repeat("a", 513)
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
			"an action must not be listed twice",
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
			"a too long pattern",
			fmt.Sprintf(`{"nodes":{"annotations":{"allowed":[%q]}}}`, long),
			"spec.nodes.annotations.allowed[0]: Too long",
		},
		{
			"too many patterns",
			fmt.Sprintf(`{"nodes":{"labels":{"update":{"allowed":[%s]}}}}`, many),
			"spec.nodes.labels.update.allowed: Too many",
		},
		{
			"no action",
			`{"nodes":{"labels":{}}}`,
			"spec.validationActions: Required value",
		},
		{
			"an address instead of a CIDR",
			`{"nodes":{"annotations":{"providedNodeIPCIDRs":["10.0.0.1"]}}}`,
			"spec.nodes.annotations.providedNodeIPCIDRs[0]: Invalid value",
		},
		{
			"a too small limit",
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
			"an unknown direction of cordoning",
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
			if !strings.Contains(test.spec, "validationActions") && test.name != "no action" {
				test.spec = strings.Replace(test.spec, "{", `{"validationActions":["Deny"],`, 1)
			}
			request := suite.Create("/apis/noderestriction.plus/v1alpha1/noderestrictionpolicies", fmt.Sprintf(
				`{"apiVersion":"noderestriction.plus/v1alpha1","kind":"NodeRestrictionPolicy","metadata":{"name":"bad"},"spec":%s}`, test.spec))
			request.Query, request.DryRun = "fieldValidation=Strict", true
			a := admin.Send(t, request)
			webhook, _ := a.DeniedBy()
			if a.Code < http.StatusBadRequest || webhook != "" || !strings.Contains(a.Text, test.want) {
				t.Errorf("got %.300s\nwant %s", a, test.want)
			}
		})
	}
	t.Run("kubectl explain says what omission means", func(t *testing.T) { s.testExplain(t) })
}

func (s *environment) testExplain(t *testing.T) {
	out, err := s.Kubectl.Run(t.Context(), nil, "explain", "nrp.spec.nodes.labels")
	suite.Check(t, err)
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

// testStrays shows that the product writes only records to standard output.
func (s *environment) testStrays(t *testing.T) {
	strays, err := s.product.Records.Strays()
	suite.Check(t, err)
	for _, line := range strays {
		t.Errorf("%q", line)
	}
}
