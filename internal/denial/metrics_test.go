// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

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
	"noderestriction.plus/internal/program"
	"noderestriction.plus/internal/record"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
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
	m := NewMetrics(reg, rules.All())
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
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "node_restriction_plus_") || f.GetHelp() == "" {
			t.Errorf("%s: got help %q", f.GetName(), f.GetHelp())
		}
	}
}

func TestMetricsCountDenialsViolationsAndRecords(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	m := NewMetrics(reg, rules.All())
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
# HELP node_restriction_plus_records_lost_total Records that are not in the denial log. Each leaves a gap in seq.
# TYPE node_restriction_plus_records_lost_total counter
node_restriction_plus_records_lost_total 1
# HELP node_restriction_plus_records_written_total Records written to the denial log.
# TYPE node_restriction_plus_records_written_total counter
node_restriction_plus_records_written_total 4
`, "records_lost_total", "records_written_total")
	for dryRun, want := range map[string]float64{"false": 3, "true": 1} {
		if got := testutil.ToFloat64(m.denials.WithLabelValues("nodes", "status", "UPDATE", dryRun)); got != want {
			t.Errorf("dry_run %s: got %v, want %v", dryRun, got, want)
		}
	}
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
	m := NewMetrics(prometheus.NewPedanticRegistry(), rules.All())
	update := &policy.Request{Write: policy.Write{Operation: admissionv1.Update, Resource: "nodes", Subresource: "status"}}
	m.Evaluated(update, policy.Decision{}, time.Millisecond)
	m.Evaluated(update, denied("worker-1").Decision, time.Millisecond)
	for decision, want := range map[string]float64{"allowed": 1, "denied": 1} {
		got := testutil.ToFloat64(m.evaluations.WithLabelValues(decision, "nodes", "status", "UPDATE"))
		if got != want {
			t.Errorf("%s: got %v, want %v", decision, got, want)
		}
	}
}

func TestMetricsCountTheFirstEventAsAnIncrease(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	m := NewMetrics(reg, rules.All())
	m.Expect(policy.NewSet(compiled(t, "recommended")))
	before := count(t, reg)
	m.Evaluated(&policy.Request{Write: policy.Write{Operation: admissionv1.Update, Resource: "nodes", Subresource: "status"}},
		denied("worker-1").Decision, time.Millisecond)
	rec := denied("worker-1")
	m.Observe(&rec)
	if after := count(t, reg); after != before {
		t.Errorf("a denial adds %d series", after-before)
	}
}

func TestMetricsHaveABoundedNumberOfSeries(t *testing.T) {
	const senders = 10_000
	reg := prometheus.NewPedanticRegistry()
	m := NewMetrics(reg, rules.All())
	before := count(t, reg)
	for i := range senders {
		name := fmt.Sprint("x", i)
		r := &policy.Request{
			NodeName: name, Write: policy.Write{Operation: admissionv1.Operation(name), Resource: name, Subresource: name, Name: name},
		}
		d := policy.Decision{NodeName: name, Violations: []policy.PolicyViolation{{
			Policy: name, Rule: policy.RuleID(name), Action: v1alpha1.Deny,
			Violation: policy.Violation{Field: "metadata.labels[" + name + "]", Detail: name},
		}}}
		rec := record.New(record.Origin{UID: name, User: name}, r, d)
		m.Evaluated(r, d, 0)
		m.Observe(&rec)
	}
	// Of evaluations, denials and violations one each is other; policies have their names up to the bound.
	if n := count(t, reg) - before; n != 1+1+1+program.MaxPolicyLabels {
		t.Errorf("%d senders with labels of their own add %d series", senders, n)
	}
	if got := testutil.ToFloat64(m.violations.WithLabelValues(other, other, "Deny")); got != senders-program.MaxPolicyLabels {
		t.Errorf("got %v violations of other policies, want %d", got, senders-program.MaxPolicyLabels)
	}
}

func TestMetricsNameThePoliciesThatAreExpectedFirst(t *testing.T) {
	m := NewMetrics(prometheus.NewPedanticRegistry(), rules.All())
	var policies []*policy.Policy
	for i := range program.MaxPolicyLabels + 1 {
		policies = append(policies, compiled(t, fmt.Sprintf("p%03d", i)))
	}
	m.Expect(policy.NewSet(policies...))
	for name, want := range map[string]string{"p000": "p000", "p099": "p099", "p100": other, "late": other, "": ""} {
		if got := m.values.policy(name); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}

// compiled is a policy that denies finalizers on Nodes.
func compiled(t *testing.T, name string) *policy.Policy {
	t.Helper()
	p := &v1alpha1.NodeRestrictionPolicy{}
	p.Name = name
	p.Spec.ValidationActions = []v1alpha1.ValidationAction{v1alpha1.Deny}
	p.Spec.Nodes.Finalizers = &v1alpha1.NodeFinalizers{}
	c, errs := rules.NewCompiler().Compile(p)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return c
}

func count(t *testing.T, g prometheus.Gatherer) int {
	t.Helper()
	n, err := testutil.GatherAndCount(g)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
