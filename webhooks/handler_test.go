// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package webhooks_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/denial"
	"noderestriction.plus/internal/record"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/object"
	"noderestriction.plus/policy/rules"
	"noderestriction.plus/webhooks"
)

const (
	metricsPrefix = "node_restriction_plus_"
	// violates begins every message of a denial by the policy of these tests.
	violates = `node "worker-1" violates NodeRestrictionPolicy "test": `
)

// store stands in for the policy store: what it holds, or nil before the first sync.
type store struct{ set *policy.Set }

func (s *store) Set() *policy.Set { return s.set }

// brokenStore is a fault of ours outside of the policies.
type brokenStore struct{}

func (brokenStore) Set() *policy.Set { panic("a broken store") }

// brokenFacts stands for a bug during an evaluation.
type brokenFacts struct{ policy.Facts }

func (brokenFacts) Node(string) (*object.Metadata, bool, error) { panic("broken facts") }

// compiled is a set of one policy under which a kubelet may not touch finalizers of its Node.
func compiled(t testing.TB, match *v1alpha1.Match) *policy.Set {
	t.Helper()
	p, errs := rules.NewCompiler().Compile(&v1alpha1.NodeRestrictionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "test", Generation: 1},
		Spec: v1alpha1.NodeRestrictionPolicySpec{
			ValidationActions: []v1alpha1.ValidationAction{v1alpha1.Deny}, Match: match,
			Nodes: v1alpha1.NodeRules{Finalizers: &v1alpha1.NodeFinalizers{}},
		},
	})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return policy.NewSet(p)
}

// selecting makes a policy look the Node up where the review does not hold it.
func selecting() *v1alpha1.Match {
	return &v1alpha1.Match{NodeSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"no": "node"}}}
}

// logBuffer is a denial log in memory.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buf.Reset()
}

func (b *logBuffer) records(t testing.TB) []record.Record {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	var records []record.Record
	for line := range strings.Lines(b.buf.String()) {
		var rec record.Record
		if err := json.Unmarshal([]byte(line), &rec); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		records = append(records, rec)
	}
	return records
}

// rig is a handler with what it needs.
type rig struct {
	handler  *webhooks.Handler
	denials  *logBuffer
	registry *prometheus.Registry
	log      logBuffer // what the handler logs beside the denials

	evaluated evaluations
}

// evaluations counts how often a policy has evaluated a write.
type evaluations struct{ atomic.Int64 }

func (e *evaluations) Evaluated(_ *policy.Request, d policy.Decision) {
	e.Add(int64(len(d.Evaluators)))
}

type options struct {
	policies webhooks.PolicySource
	facts    policy.Facts
	out      io.Writer // nil: rig.denials
}

func newRig(t testing.TB, o options) *rig {
	t.Helper()
	r := &rig{denials: &logBuffer{}, registry: prometheus.NewRegistry()}
	if o.policies == nil {
		o.policies = &store{set: compiled(t, nil)}
	}
	if o.out == nil {
		o.out = r.denials
	}
	metrics := denial.NewMetrics(r.registry, rules.All())
	recorder := denial.New(o.out, metrics)
	t.Cleanup(func() {
		if err := recorder.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	log := funcr.NewJSON(func(line string) { fmt.Fprintln(&r.log, line) }, funcr.Options{})
	r.handler = webhooks.NewHandler(o.policies, o.facts, recorder, metrics, &r.evaluated, "v0.1.0", log)
	return r
}

// serve starts the handler behind TLS and returns what posts to it.
func (r *rig) serve(t *testing.T) func(body io.Reader) (*http.Response, *admissionv1.AdmissionReview) {
	t.Helper()
	server := httptest.NewTLSServer(limited(r.handler))
	t.Cleanup(server.Close)
	return func(body io.Reader) (*http.Response, *admissionv1.AdmissionReview) {
		t.Helper()
		response, err := server.Client().Post(server.URL+"/admit", "application/json", body)
		if err != nil {
			t.Fatal(err)
		}
		return response, answer(t, response)
	}
}

// post calls the handler without a server.
func (r *rig) post(
	t testing.TB, body string, change func(*http.Request),
) (*http.Response, *admissionv1.AdmissionReview) {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/admit", strings.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	if change != nil {
		change(request)
	}
	w := httptest.NewRecorder()
	r.handler.ServeHTTP(w, request)
	response := w.Result()
	return response, answer(t, response)
}

// answer reads the review in a response, or returns nil if it is an HTTP error.
func answer(t testing.TB, response *http.Response) *admissionv1.AdmissionReview {
	t.Helper()
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		if len(body) > 1024 || strings.Contains(string(body), "goroutine") {
			t.Errorf("an error of %d bytes: %s", len(body), body)
		}
		return nil
	}
	if got := response.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("got content type %q", got)
	}
	answer := &admissionv1.AdmissionReview{}
	if err := json.Unmarshal(body, answer); err != nil {
		t.Fatal(err)
	}
	if answer.Kind != "AdmissionReview" || answer.APIVersion != "admission.k8s.io/v1" || answer.Response == nil {
		t.Fatalf("got %s", body)
	}
	return answer
}

func (r *rig) metric(t testing.TB, name string) float64 {
	t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() == metricsPrefix+name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// attack is a review in which a kubelet puts a finalizer on its Node, by the way of nodes/status.
func attack(uid, node string) string {
	return review(uid, "system:node:"+node, node, `{"metadata":{"name":"`+node+`","finalizers":["example.com/x"]}}`)
}

func review(uid, user, name, object string) string {
	return `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"` + uid + `",` +
		`"kind":{"group":"","version":"v1","kind":"Node"},"resource":{"group":"","version":"v1","resource":"nodes"},` +
		`"subResource":"status","name":"` + name + `","operation":"UPDATE",` +
		`"userInfo":{"username":"` + user + `","groups":["system:nodes"]},` +
		`"object":` + object + `,"oldObject":{"metadata":{"name":"` + name + `"}},"dryRun":false}}`
}

func TestADenialIsAnsweredAndRecorded(t *testing.T) {
	r := newRig(t, options{})
	_, got := r.post(t, attack("u-1", "worker-1"), nil)
	const message = violates + `node finalizers (must not add "example.com/x")`
	if got.Response.UID != "u-1" || got.Response.Allowed || got.Response.Result.Code != http.StatusForbidden ||
		got.Response.Result.Reason != metav1.StatusReasonForbidden || got.Response.Result.Message != message {
		t.Errorf("got %+v, %+v", got.Response, got.Response.Result)
	}
	records := r.denials.records(t)
	if len(records) != 1 {
		t.Fatalf("got %d records", len(records))
	}
	rec := records[0]
	if rec.Msg != policy.Denied || rec.UID != "u-1" || rec.Node != "worker-1" || rec.User != "system:node:worker-1" ||
		rec.ClientAuth != record.ClientAuthNone || rec.Version != "v0.1.0" || rec.Seq != 1 ||
		rec.Violations[0].Rule != "node-finalizers" {
		t.Errorf("got %+v", rec)
	}
	want := map[string]string{
		"decision": "denied", "policy": "test", "rule": "node-finalizers", "boot": rec.Boot, "seq": "1",
	}
	if fmt.Sprint(got.Response.AuditAnnotations) != fmt.Sprint(want) {
		t.Errorf("got annotations %v, want %v", got.Response.AuditAnnotations, want)
	}
}

func TestWhatIsAllowedLeavesNoRecord(t *testing.T) {
	for name, body := range map[string]string{
		"a kubelet's heartbeat": review("u-1", "system:node:worker-1", "worker-1", `{"metadata":{"name":"worker-1"}}`),
		"somebody else": review("u-1", "admin", "worker-1",
			`{"metadata":{"name":"worker-1","finalizers":["example.com/x"]}}`),
		"somebody else's malformed object": review("u-1", "admin", "worker-1", `{"a":1,"a":2}`),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, options{})
			_, got := r.post(t, body, nil)
			if !got.Response.Allowed || got.Response.UID != "u-1" || len(r.denials.records(t)) != 0 {
				t.Errorf("got %+v", got.Response)
			}
		})
	}
}

func TestBeforeTheFirstSync(t *testing.T) {
	r := newRig(t, options{policies: &store{}})
	if response, _ := r.post(t, attack("u-1", "worker-1"), nil); response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a kubelet: got status %d, want 503", response.StatusCode)
	}
	if _, got := r.post(t, review("u-2", "admin", "worker-1", `{}`), nil); got == nil || !got.Response.Allowed {
		t.Errorf("somebody else: got %+v, want allowed", got)
	}
	if n := len(r.denials.records(t)); n != 0 {
		t.Errorf("got %d records", n)
	}
}

func TestAFaultOfOursIsADenialWithARecord(t *testing.T) {
	tests := map[string]struct {
		options options
		body    string
		message string
		policy  string
	}{
		"while a policy evaluates": {
			options: options{policies: &store{set: compiled(t, selecting())}, facts: brokenFacts{}},
			body:    strings.Replace(attack("u-1", "worker-1"), `"name":"worker-1","op`, `"name":"worker-2","op`, 1),
			message: violates + `unverified (internal error)`,
			policy:  "test",
		},
		"outside of the policies": {
			options: options{policies: brokenStore{}},
			body:    attack("u-1", "worker-1"),
			message: "internal error",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, test.options)
			_, got := r.post(t, test.body, nil)
			if got.Response.UID != "u-1" || got.Response.Allowed || got.Response.Result.Message != test.message {
				t.Errorf("got %+v, %+v", got.Response, got.Response.Result)
			}
			records := r.denials.records(t)
			if len(records) != 1 {
				t.Fatalf("got %d records", len(records))
			}
			if v := records[0].Violations[0]; v.Rule != "unverified" || v.Policy != test.policy {
				t.Errorf("got %+v", v)
			}
			if n := r.metric(t, "panics_total"); n != 1 {
				t.Errorf("got %v panics counted", n)
			}
			if !strings.Contains(r.log.buf.String(), "stack") {
				t.Error("the log does not have the stack")
			}
		})
	}
}

// TestInvariantL: denied answers = records with distinct uid = denials counted, whatever the load.
func TestInvariantL(t *testing.T) {
	defer goleak.VerifyNone(t)
	t.Run("over HTTP", func(t *testing.T) {
		r := newRig(t, options{})
		post := r.serve(t)
		const clients, each = 16, 50
		var wg sync.WaitGroup
		for client := range clients {
			wg.Go(func() {
				for i := range each {
					uid := fmt.Sprintf("u-%d-%d", client, i)
					_, got := post(strings.NewReader(attack(uid, "worker-1")))
					if got == nil || got.Response.Allowed || got.Response.UID != types.UID(uid) {
						t.Errorf("%s: got %+v", uid, got)
					}
				}
			})
		}
		wg.Wait()
		uids := map[string]bool{}
		records := r.denials.records(t)
		for i, rec := range records {
			uids[rec.UID] = true
			if rec.Seq != uint64(i+1) {
				t.Errorf("line %d has seq %d", i, rec.Seq)
			}
		}
		counted, want := r.metric(t, "denials_total"), clients*each
		if len(records) != want || len(uids) != want || counted != float64(want) {
			t.Errorf("got %d records, %d uids, %v denials counted, want %d", len(records), len(uids), counted, want)
		}
	})
}

func TestTheEnforcementProbeIsRecordedAndNotCounted(t *testing.T) {
	registration := func(node, dryRun string) string {
		return `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u-1",` +
			`"kind":{"group":"","version":"v1","kind":"Node"},"resource":{"group":"","version":"v1","resource":"nodes"},` +
			`"name":"` + node + `","operation":"CREATE","userInfo":{"username":"system:node:` + node + `"},` +
			`"object":{"metadata":{"name":"` + node + `"}},"dryRun":` + dryRun + `}}`
	}
	csiNode := func(operation, dryRun string) string {
		return `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u-1",` +
			`"kind":{"group":"storage.k8s.io","version":"v1","kind":"CSINode"},` +
			`"resource":{"group":"storage.k8s.io","version":"v1","resource":"csinodes"},` +
			`"name":"node-restriction-plus-probe","operation":"` + operation + `",` +
			`"userInfo":{"username":"system:node:node-restriction-plus-probe"},` +
			`"object":{"metadata":{"name":"node-restriction-plus-probe"}},"dryRun":` + dryRun + `}}`
	}
	for name, body := range map[string]string{
		"the registration of the probe is denied, whatever the policies": registration("node-restriction-plus-probe", "true"),
		"the CSINode of the probe is denied, whatever the policies":      csiNode("CREATE", "true"),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, options{policies: &store{set: policy.NewSet()}})
			_, got := r.post(t, body, nil)
			if got.Response.Allowed || got.Response.Result.Message != "the enforcement probe is denied, as it should be" {
				t.Errorf("got %+v", got.Response)
			}
			if records := r.denials.records(t); len(records) != 1 || records[0].Msg != record.Probed || records[0].Seq != 1 {
				t.Errorf("got records %+v", records)
			}
			for _, name := range []string{"denials_total", "violations_total", "evaluations_total"} {
				if n := r.metric(t, name); n != 0 {
					t.Errorf("%s is %v", name, n)
				}
			}
		})
	}
	for name, body := range map[string]string{
		"a CSINode that is no dry run is evaluated like any other":      csiNode("CREATE", "false"),
		"the update of a CSINode is evaluated like any other":           csiNode("UPDATE", "true"),
		"a registration that is no dry run is evaluated like any other": registration("node-restriction-plus-probe", "false"),
		"a dry run of another kubelet is evaluated like any other":      registration("worker-1", "true"),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, options{policies: &store{set: policy.NewSet()}})
			if _, got := r.post(t, body, nil); !got.Response.Allowed || r.metric(t, "evaluations_total") != 1 {
				t.Errorf("got %+v", got.Response)
			}
		})
	}
}

// blockedLog is a pipe that nobody reads.
type blockedLog struct{ gate chan struct{} }

func (b blockedLog) Write(p []byte) (int, error) {
	<-b.gate
	return len(p), nil
}

func TestABlockedLogDoesNotHoldUpTheAnswer(t *testing.T) {
	gate := make(chan struct{})
	r := newRig(t, options{out: blockedLog{gate}})
	t.Cleanup(func() { close(gate) })
	start := time.Now()
	_, got := r.post(t, attack("u-1", "worker-1"), nil)
	told := got.Response.AuditAnnotations
	if got.Response.Allowed || told["seq"] != "1" || told["record"] != "missing" || time.Since(start) > time.Second {
		t.Errorf("got %+v after %v", got.Response, time.Since(start))
	}
}

func TestTheRecordSaysWhetherTheSenderHadACertificate(t *testing.T) {
	defer goleak.VerifyNone(t)
	t.Run("over TLS", func(t *testing.T) {
		certificate, pool := clientCertificate(t)
		r := newRig(t, options{})
		server := httptest.NewUnstartedServer(r.handler)
		server.TLS = &tls.Config{ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: pool}
		server.StartTLS()
		t.Cleanup(server.Close)
		transport := server.Client().Transport.(*http.Transport)
		for i, certificates := range [][]tls.Certificate{nil, {certificate}} {
			transport = transport.Clone()
			transport.TLSClientConfig.Certificates = certificates
			client := &http.Client{Transport: transport}
			body := strings.NewReader(attack(fmt.Sprint(i), "worker-1"))
			response, err := client.Post(server.URL, "application/json", body)
			if err != nil {
				t.Fatal(err)
			}
			answer(t, response)
			client.CloseIdleConnections()
		}
		records := r.denials.records(t)
		if records[0].ClientAuth != record.ClientAuthNone || records[1].ClientAuth != record.ClientAuthMTLS {
			t.Errorf("got %q and %q", records[0].ClientAuth, records[1].ClientAuth)
		}
	})
}

// clientCertificate is a self-signed certificate for a client, and the pool that trusts it.
func clientCertificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}
