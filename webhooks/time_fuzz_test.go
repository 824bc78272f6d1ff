// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package webhooks_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"noderestriction.plus/internal/denial"
	"noderestriction.plus/internal/manifest"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
	"noderestriction.plus/webhooks"
)

const (
	// maxFuzzedBody is the largest body whose time is bounded here.
	maxFuzzedBody = 64 << 10
	// maxFuzzedTime is generous: such a body takes a few milliseconds.
	maxFuzzedTime = 2 * time.Second
)

// FuzzTime looks for bodies that take long, at either handler, under the policies that forbid most.
func FuzzTime(f *testing.F) {
	for _, body := range slowBodies() {
		f.Add(body)
	}
	r := newRig(f, options{policies: &store{set: strict(f)}, facts: policy.StaticFacts{}})
	policies := webhooks.NewPolicyHandler(rules.NewCompiler(), denial.NewMetrics(prometheus.NewRegistry(), rules.All()), logr.Discard())
	handler := webhooks.Routes(r.handler, policies)
	f.Fuzz(func(t *testing.T, body string) {
		body = body[:min(len(body), maxFuzzedBody)]
		for _, path := range []string{"/admit", "/policies"} {
			within(t, maxFuzzedTime, func() {
				request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, path+"?timeout=1s", strings.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				request.Header.Set("Content-Type", "application/json")
				handler.ServeHTTP(discarding{http.Header{}}, request)
			})
		}
	})
}

// within fails the test if something takes longer, even if it never ends.
func within(t *testing.T, limit time.Duration, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		t.Fatalf("it takes more than %s", limit)
	}
}

// discarding is a client that does not look at its answer.
type discarding struct{ header http.Header }

func (d discarding) Header() http.Header       { return d.header }
func (discarding) Write(p []byte) (int, error) { return len(p), nil }
func (discarding) WriteHeader(int)             {}

// strict is a set of the policies that are shipped.
func strict(t testing.TB) *policy.Set {
	t.Helper()
	var all []*policy.Policy
	for _, name := range []string{"strict", "recommended", "baseline"} {
		data, err := os.ReadFile("../config/policies/" + name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		policies, err := manifest.Policies(data)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range policies {
			compiled, errs := rules.NewCompiler().Compile(p)
			if len(errs) > 0 {
				t.Fatal(errs.ToAggregate())
			}
			all = append(all, compiled)
		}
	}
	return policy.NewSet(all...)
}

// slowBodies are reviews that once took seconds, or for ever.
func slowBodies() []string {
	node := func(status string) string { return `{"metadata":{"name":"worker-1"},"status":` + status + `}` }
	capacity := func(quantity string) string {
		return review("u-1", "system:node:worker-1", "worker-1", node(`{"capacity":{"cpu":`+quantity+`}}`))
	}
	created := func(body string) string { return strings.Replace(body, "UPDATE", "CREATE", 1) }
	many := func(unit string, n int) string { return strings.Repeat(unit+",", n) + unit }
	return []string{
		attack("u-1", "worker-1"),
		capacity(`"1e9999999"`),
		capacity(`1e9999999`),
		capacity(`"1234567890123456789e60000"`),
		capacity(`"1e-999999999"`),
		capacity(`"` + strings.Repeat("9", 60_000) + `"`),
		created(capacity(`"1e-999999999"`)),
		strings.Replace(review("u-1", "system:node:worker-1", "worker-1", `{"metadata":{`+unknown("new", 1500)+`"name":"worker-1"}}`),
			`"oldObject":{"metadata":{`, `"oldObject":{"metadata":{`+unknown("old", 1500), 1),
		strings.NewReplacer(`"Node"`, `"Pod"`, `"nodes"`, `"pods"`).Replace(review("u-1", "system:node:worker-1", "web-0",
			`{"metadata":{"name":"web-0","namespace":"default"},"status":{"containerStatuses":[`+many(`{"x":1}`, 6000)+`]}}`)),
		strings.Replace(attack("u-1", "worker-1"), `"groups":[`, `"groups":[`+many(`"g"`, 12_000)+`,`, 1),
		strings.Replace(attack("u-1", "worker-1"), `"groups":[`, `"extra":{`+unknown("e", 2000)+`"z":[]},"groups":[`, 1),
		policyOf(`{"match":{"nodeNames":[` + many(`"a"`, 15_000) + `]}}`),
		policyOf(`{"nodes":{"capacity":{"max":{"cpu":"1e-999999999"}}}}`),
		policyOf(`{"nodes":{"capacity":{"max":{"cpu":"1234567890123456789e60000"}}}}`),
	}
}

// unknown are members of an object that nothing knows.
func unknown(prefix string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%q:[],", fmt.Sprint(prefix, i))
	}
	return b.String()
}

func policyOf(spec string) string {
	return `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u-1","operation":"CREATE",` +
		`"resource":{"group":"noderestriction.plus","version":"v1alpha1","resource":"noderestrictionpolicies"},` +
		`"userInfo":{"username":"admin"},"name":"p","object":{"metadata":{"name":"p"},"spec":` + spec + `}}}`
}
