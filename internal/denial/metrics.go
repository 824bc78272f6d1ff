// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package denial

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/record"
	"noderestriction.plus/policy"
)

// Refusal is why a request is answered with an HTTP error instead of a verdict.
type Refusal string

// The refusals.
const (
	RefusedMethod    Refusal = "method"     // not a POST
	RefusedMediaType Refusal = "media_type" // not plain application/json
	RefusedBody      Refusal = "body"       // the body could not be received
	RefusedBusy      Refusal = "busy"       // no room for it among the others
	RefusedMalformed Refusal = "malformed"  // not an AdmissionReview
	RefusedNotSynced Refusal = "not_synced" // the policies are not known yet
	RefusedLate      Refusal = "late"       // a policy could not be validated in time
)

// Metrics counts evaluations and their results. Label values are from closed sets: no names of nodes, users or objects. All
// series exist from the start with the value 0, because a counter that begins with its first event does not show that event
// as an increase. It is a [Sink] of a [Recorder].
type Metrics struct {
	evaluations *prometheus.CounterVec
	duration    prometheus.Histogram
	violations  *prometheus.CounterVec
	denials     *prometheus.CounterVec
	refused     *prometheus.CounterVec
	late        *prometheus.CounterVec
	panics      prometheus.Counter

	values *labelValues
}

// NewMetrics registers the metrics. It panics if one of them is already registered.
func NewMetrics(reg prometheus.Registerer, rules []policy.Rule) *Metrics {
	m := &Metrics{
		evaluations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "node_restriction_plus_evaluations_total",
			Help: "Writes by kubelets that were evaluated, by result: allowed, audited, warned or denied. " +
				"Resources that no rule checks are counted as other.",
		}, []string{"decision", "resource", "subresource", "operation"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "node_restriction_plus_evaluation_duration_seconds",
			Help: "Time to evaluate one write by a kubelet, without reading and answering the request.",
			Buckets: []float64{
				50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3,
			},
		}),
		violations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "node_restriction_plus_violations_total",
			Help: "Violations, by policy, rule and the strongest action of the policy. One write may have several. " +
				"Beyond 100 policies the rest are counted as other; policy is empty if no policy decided. Those of late " +
				"answers are not counted.",
		}, []string{"policy", "rule", "action"}),
		denials: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "node_restriction_plus_denials_total",
			Help: "Writes by kubelets that were denied. Answers that came too late are counted as late answers instead.",
		}, []string{"resource", "subresource", "operation", "dry_run"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "node_restriction_plus_requests_refused_total",
			Help: "Requests that were answered with an HTTP error instead of a verdict, so that the API server " +
				"applies the failurePolicy, by reason: method, media_type, body, busy, malformed, not_synced or late.",
		}, []string{"reason"}),
		late: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "node_restriction_plus_late_answers_total",
			Help: "Answers after the time that the API server waits, by what was decided: allowed, audited, warned or " +
				"denied. The API server has applied the failurePolicy instead.",
		}, []string{"decision"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "node_restriction_plus_panics_total",
			Help: "Panics while a write was evaluated or answered. Each is a bug in the webhook; the write is " +
				"not allowed if a policy evaluates it.",
		}),
		values: newLabelValues(rules),
	}
	m.begin()
	reg.MustRegister(m.evaluations, m.duration, m.violations, m.denials, m.refused, m.late, m.panics)
	return m
}

// begin starts the series that do not depend on policies at 0.
func (m *Metrics) begin() {
	for w, operations := range m.values.writes {
		for operation := range operations {
			for _, decision := range []policy.Outcome{policy.Allowed, policy.Audited, policy.Warned, policy.Denied} {
				m.evaluations.WithLabelValues(string(decision), w.resource, w.subresource, operation)
			}
			for _, dryRun := range []bool{false, true} {
				m.denials.WithLabelValues(w.resource, w.subresource, operation, strconv.FormatBool(dryRun))
			}
		}
	}
	for _, r := range []Refusal{
		RefusedMethod, RefusedMediaType, RefusedBody, RefusedBusy, RefusedMalformed, RefusedNotSynced,
		RefusedLate,
	} {
		m.refused.WithLabelValues(string(r))
	}
	for _, decision := range []policy.Outcome{policy.Allowed, policy.Audited, policy.Warned, policy.Denied} {
		m.late.WithLabelValues(string(decision))
	}
	m.violations.WithLabelValues("", string(policy.Unverified), string(v1alpha1.Deny))
}

// Expect creates the series of a set with the value 0: one for each rule of its policies.
func (m *Metrics) Expect(set *policy.Set) {
	for _, p := range set.Policies() {
		name := m.values.policy(p.Name())
		for _, rule := range append(p.Rules(), policy.Unverified) {
			m.violations.WithLabelValues(name, string(rule), string(p.Action()))
		}
		if p.ForAgents() {
			m.violations.WithLabelValues(name, string(policy.WithoutNode), string(p.WithoutNode()))
		}
	}
}

// Evaluated counts the evaluation of a write by a kubelet or a node agent.
func (m *Metrics) Evaluated(r *policy.Request, d policy.Decision, took time.Duration) {
	w := m.values.write(r.Resource, r.Subresource)
	m.evaluations.WithLabelValues(
		string(d.Outcome()), w.resource, w.subresource, operation(string(r.Operation))).Inc()
	m.duration.Observe(took.Seconds())
}

// Refused counts a request that was answered with an HTTP error.
func (m *Metrics) Refused(reason Refusal) { m.refused.WithLabelValues(string(reason)).Inc() }

// Late counts an answer that its sender no longer waited for.
func (m *Metrics) Late(decision policy.Outcome) { m.late.WithLabelValues(string(decision)).Inc() }

// Panicked counts a panic.
func (m *Metrics) Panicked() { m.panics.Inc() }

// Observe counts a record, unless it is the enforcement probe's or its answer was late.
func (m *Metrics) Observe(rec *record.Record) {
	if rec.Msg == record.Probed || rec.Late {
		return
	}
	if rec.Msg == policy.Denied {
		w := m.values.write(rec.Resource, rec.Subresource)
		m.denials.WithLabelValues(
			w.resource, w.subresource, operation(rec.Operation), strconv.FormatBool(rec.DryRun)).Inc()
	}
	for _, v := range rec.Decision.Violations {
		m.violations.WithLabelValues(
			m.values.policy(v.Policy), m.values.rule(string(v.Rule)), string(v.Action)).Inc()
	}
}

// Describe implements [prometheus.Collector].
func (r *Recorder) Describe(descs chan<- *prometheus.Desc) { prometheus.DescribeByCollect(r, descs) }

// Collect implements [prometheus.Collector]. It exports how many records the log wrote and lost.
func (r *Recorder) Collect(metrics chan<- prometheus.Metric) {
	written, lost, _ := r.log.state()
	metrics <- prometheus.MustNewConstMetric(prometheus.NewDesc("node_restriction_plus_records_written_total",
		"Records written to the denial log.", nil, nil), prometheus.CounterValue, float64(written))
	metrics <- prometheus.MustNewConstMetric(prometheus.NewDesc("node_restriction_plus_records_lost_total",
		"Records that are not in the denial log. Each leaves a gap in seq.",
		nil, nil), prometheus.CounterValue, float64(lost))
}
