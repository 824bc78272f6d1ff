// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/internal/record"
	"noderestriction.plus/policy"
)

// testBodies sends writes that add something denied, in bodies of unusual shape, which must not hide it.
func (s *environment) testBodies(t *testing.T) {
	const node = "shaper"
	s.denyFinalizers(t, "bodies", node)
	s.CreateNode(t, node)
	kubelet := suite.Kubelet(t, s.ControlPlane.APIServer, node)

	// The API server sends each < as six characters: these become more than 7 MiB.
	angles := strings.Repeat("<", 1_400_000)
	image := fmt.Sprintf(`[{"names":["%s"],"sizeBytes":1}]`, angles) // not encoded: a body may have 3 MiB
	for _, test := range []struct {
		name, metadata, rest string // metadata beside the finalizers, and other members of the object
		dryRun               bool
	}{
		{name: "in a status of more than 7 MiB", rest: `"status":{"images":` + image + `}`},
		{name: "beside unknown fields", metadata: `"new":1`, rest: `"spec":{"new":{}},"new":[]`},
		{name: "after a duplicate name", metadata: `"finalizers":[]`},
		{name: "beside a status like a pod's", rest: `"status":{"phase":"Running"}`},
		{name: "in a dry run", dryRun: true},
		{
			name: "in a dry run with a value of 256 KiB", dryRun: true,
			metadata: `"annotations":{"a":"` + angles[:256<<10-1] + `"}`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			first, err := s.product.Records.Len()
			suite.Check(t, err)
			request := suite.PatchNodeStatus(node, objectOf(
				`"metadata":`+objectOf(test.metadata, `"finalizers":["example.com/stay"]`), test.rest))
			request.DryRun = test.dryRun
			a := kubelet.Send(t, request)
			if _, message := a.DeniedBy(); a.Outcome != suite.Denied || !strings.Contains(message, "node finalizers") {
				t.Errorf("want a denial, got %.300s", a)
			}
			s.checkOneRecord(t, first, test.dryRun)
			if got := s.GetNode(t, node); len(got.Finalizers) > 0 || len(got.Status.Images) > 0 {
				t.Errorf("the write was stored")
			}
		})
	}
	t.Run("a registration of more than 7 MiB", func(t *testing.T) { s.testLargeRegistration(t, image) })
	t.Run("an unknown field alone", func(t *testing.T) {
		a := kubelet.Send(t, suite.PatchNodeStatus(node, `{"status":{"new":1}}`))
		if a.Code != http.StatusOK || !strings.Contains(strings.Join(a.Warnings, " "), "unknown field") {
			t.Errorf("want it allowed with the API server's warning, got %s %v", a, a.Warnings)
		}
	})
}

// testLargeRegistration registers a large Node with a finalizer. The webhook for registrations has failurePolicy Ignore, so the
// product must answer.
func (s *environment) testLargeRegistration(t *testing.T, image string) {
	const node = "newcomer"
	s.denyFinalizers(t, "large-registration", node)
	kubelet := suite.Kubelet(t, s.ControlPlane.APIServer, node)
	first, err := s.product.Records.Len()
	suite.Check(t, err)
	a := kubelet.Send(t, suite.Create(suite.NodesPath, fmt.Sprintf(`{"apiVersion":"v1","kind":"Node","metadata":{"name":%q,`+
		`"finalizers":["example.com/stay"]},"status":{"images":%s}}`, node, image)))
	if webhook, _ := a.DeniedBy(); a.Code != http.StatusForbidden || webhook == "" {
		t.Errorf("want a denial, got %.300s", a)
	}
	s.checkOneRecord(t, first, false)
}

// checkOneRecord checks that there is one record after the first ones, and that it is bounded.
func (s *environment) checkOneRecord(t *testing.T, first int, dryRun bool) {
	t.Helper()
	records, err := s.product.Records.Since(first)
	suite.Check(t, err)
	if len(records) != 1 || records[0].Msg != policy.Denied || records[0].DryRun != dryRun {
		t.Fatalf("want one record of a denial, dryRun %v, got %+v", dryRun, texts(records))
	}
	if n := len(records[0].Text) + 1; n > record.MaxLine {
		t.Errorf("a record of %d bytes", n)
	}
}

func texts(lines []product.Line) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = l.Text
	}
	return out
}

// objectOf returns an object with these members, except empty ones.
func objectOf(members ...string) string {
	members = slices.DeleteFunc(members, func(member string) bool { return member == "" })
	return "{" + strings.Join(members, ",") + "}"
}
