// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"noderestriction.plus/e2e/product"
	"noderestriction.plus/internal/record"
	"noderestriction.plus/policy"
)

// testBodies sends writes that are denied for what they add, in bodies of unusual shape: what is around must not hide
// it.
func (s *suite) testBodies(t *testing.T) {
	const node = "shaper"
	s.denyFinalizers(t, "bodies", node)
	s.createNode(t, node)
	config, err := s.stock.Kubelet(node)
	kubelet := newCaller(t, config, err)

	// The API server sends each < as six characters, so that these become more than 7 MiB.
	angles := strings.Repeat("<", 1_400_000)
	image := fmt.Sprintf(`[{"names":["%s"],"sizeBytes":1}]`, angles) // as it is: a body may have 3 MiB
	dryRun := url.Values{"dryRun": {"All"}}
	for _, test := range []struct {
		name, metadata, rest string // metadata beside the finalizers, and what else is in the object
		query                url.Values
	}{
		{name: "in a status of more than 7 MiB", rest: `"status":{"images":` + image + `}`},
		{name: "beside fields that nobody knows", metadata: `"new":1`, rest: `"spec":{"new":{}},"new":[]`},
		{name: "after an equal name", metadata: `"finalizers":[]`},
		{name: "beside a status as a kubelet's", rest: `"status":{"phase":"Running"}`},
		{name: "in a dry run", query: dryRun},
		{
			name: "in a dry run with a value of 256 KiB", query: dryRun,
			metadata: `"annotations":{"a":"` + angles[:256<<10-1] + `"}`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			first, err := s.product.Records.Len()
			check(t, err)
			request := patchStatus(node, objectOf(
				`"metadata":`+objectOf(test.metadata, `"finalizers":["example.com/stay"]`), test.rest))
			request.query = test.query
			a, err := kubelet.do(t.Context(), request)
			check(t, err)
			_, message := a.deniedBy()
			if a.code != http.StatusForbidden || !strings.Contains(message, "node finalizers") {
				t.Errorf("want 403 by us, got %.300s", a)
			}
			s.checkOneRecord(t, first, test.query != nil)
			if got := s.getNode(t, node); len(got.Finalizers) > 0 || len(got.Status.Images) > 0 {
				t.Errorf("the write was stored")
			}
		})
	}
	t.Run("a registration of more than 7 MiB", func(t *testing.T) { s.testLargeRegistration(t, image) })
	t.Run("an unknown field alone", func(t *testing.T) {
		a, err := kubelet.do(t.Context(), patchStatus(node, `{"status":{"new":1}}`))
		check(t, err)
		if a.code != http.StatusOK || !strings.Contains(strings.Join(a.warnings, " "), "unknown field") {
			t.Errorf("want it allowed with the API server's warning, got %s %v", a, a.warnings)
		}
	})
}

// testLargeRegistration registers a Node that is large and has a finalizer. The webhook for registrations lets through
// what we do not answer, so we have to.
func (s *suite) testLargeRegistration(t *testing.T, image string) {
	const node = "newcomer"
	s.denyFinalizers(t, "large-registration", node)
	config, err := s.stock.Kubelet(node)
	kubelet := newCaller(t, config, err)
	first, err := s.product.Records.Len()
	check(t, err)
	a, err := kubelet.do(t.Context(), call{
		method: http.MethodPost, path: "/api/v1/nodes", contentType: mediaJSON,
		body: fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Node","metadata":{"name":%q,`+
			`"finalizers":["example.com/stay"]},"status":{"images":%s}}`, node, image),
	})
	check(t, err)
	if webhook, _ := a.deniedBy(); a.code != http.StatusForbidden || webhook == "" {
		t.Errorf("want 403 by us, got %.300s", a)
	}
	s.checkOneRecord(t, first, false)
}

// checkOneRecord checks that there is one record after the first ones, and that it is bounded.
func (s *suite) checkOneRecord(t *testing.T, first int, dryRun bool) {
	t.Helper()
	records, err := s.product.Records.Since(first)
	check(t, err)
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

// objectOf is an object of these members, without the empty ones.
func objectOf(members ...string) string {
	members = slices.DeleteFunc(members, func(member string) bool { return member == "" })
	return "{" + strings.Join(members, ",") + "}"
}
