package denial

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	admissionv1 "k8s.io/api/admission/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/record"
	"noderestriction.plus/policy"
)

func expect(t *testing.T, g prometheus.Gatherer, want string, names ...string) {
	t.Helper()
	for i, name := range names {
		names[i] = "node_restriction_plus_" + name
	}
	if err := testutil.GatherAndCompare(g, strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
}

func TestMetricsAreLintFree(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	m := NewMetrics(reg)
	l := New(&sink{}, m)
	reg.MustRegister(l)
	l.Record(denied("worker-1"))
	m.Evaluated(&policy.Request{}, policy.Decision{}, time.Millisecond)
	closeLedger(t, l)
	problems, err := testutil.GatherAndLint(reg)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if len(families) != 8 {
		t.Errorf("got %d metrics, want 8", len(families))
	}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "node_restriction_plus_") || f.GetHelp() == "" {
			t.Errorf("%s: got help %q", f.GetName(), f.GetHelp())
		}
	}
}

func TestMetricsCountDenialsViolationsAndRecords(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	m := NewMetrics(reg)
	out := &sink{}
	l := New(out, m)
	reg.MustRegister(l)
	l.Record(denied("worker-1"))
	l.Record(denied("worker-2"))
	dryRun := denied("worker-3")
	dryRun.DryRun = true
	l.Record(dryRun)
	audited := denied("worker-4")
	audited.Msg = policy.Audited
	audited.Decision.Violations = append(audited.Decision.Violations, policy.PolicyViolation{
		Policy: "strict", Rule: "node-taints", Action: v1alpha1.Audit,
	})
	l.Record(audited)
	out.set(func(s *sink) { s.err = fmt.Errorf("full") })
	l.Record(denied("worker-5"))
	if err := l.Close(t.Context()); err == nil {
		t.Error("closing does not say that records are missing")
	}
	expect(t, reg, `
# HELP node_restriction_plus_denials_total Writes by kubelets that were denied.
# TYPE node_restriction_plus_denials_total counter
node_restriction_plus_denials_total{dry_run="false",operation="UPDATE",resource="nodes",subresource="status"} 3
node_restriction_plus_denials_total{dry_run="true",operation="UPDATE",resource="nodes",subresource="status"} 1
# HELP node_restriction_plus_records_lost_total Records that are not in the denial log. Each leaves a gap in seq.
# TYPE node_restriction_plus_records_lost_total counter
node_restriction_plus_records_lost_total 1
# HELP node_restriction_plus_records_written_total Records written to the denial log.
# TYPE node_restriction_plus_records_written_total counter
node_restriction_plus_records_written_total 4
`, "denials_total", "records_lost_total", "records_written_total")
	for labels, want := range map[[3]string]float64{
		{"recommended", "node-finalizers", "Deny"}: 5,
		{"strict", "node-taints", "Audit"}:         1,
	} {
		if got := testutil.ToFloat64(m.violations.WithLabelValues(labels[:]...)); got != want {
			t.Errorf("%v: got %v, want %v", labels, got, want)
		}
	}
}

func TestMetricsCountEvaluations(t *testing.T) {
	m := NewMetrics(prometheus.NewPedanticRegistry())
	update := &policy.Request{Operation: admissionv1.Update, Resource: "nodes", Subresource: "status"}
	m.Evaluated(update, policy.Decision{}, time.Millisecond)
	m.Evaluated(update, denied("worker-1").Decision, time.Millisecond)
	for decision, want := range map[string]float64{"allowed": 1, "denied": 1} {
		got := testutil.ToFloat64(m.evaluations.WithLabelValues(decision, "nodes", "status", "UPDATE"))
		if got != want {
			t.Errorf("%s: got %v, want %v", decision, got, want)
		}
	}
}

func TestMetricsHaveABoundedNumberOfSeries(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	m := NewMetrics(reg)
	for i := range 2000 {
		name := fmt.Sprint("x", i)
		r := &policy.Request{
			NodeName: name, Operation: admissionv1.Operation(name), Resource: name, Subresource: name, Name: name,
		}
		d := policy.Decision{NodeName: name, Violations: []policy.PolicyViolation{{
			Policy: name, Rule: policy.RuleID(name), Action: v1alpha1.Deny,
		}}}
		rec := record.New(record.Origin{UID: name, User: name}, r, d)
		m.Evaluated(r, d, 0)
		m.Observe(&rec)
	}
	n, err := testutil.GatherAndCount(reg)
	if err != nil {
		t.Fatal(err)
	}
	if n > maxPolicies+20 {
		t.Errorf("got %d series", n)
	}
	if got := testutil.ToFloat64(m.violations.WithLabelValues(other, other, "Deny")); got != 2000-maxPolicies {
		t.Errorf("got %v violations of other policies, want %d", got, 2000-maxPolicies)
	}
}
