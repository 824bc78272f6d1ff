// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package policystore

import (
	"maps"
	"slices"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"noderestriction.plus/internal/program"
)

const (
	maxNamed = program.MaxPolicyLabels
	other    = program.OtherLabel
)

// metrics are the metrics of the policies.
type metrics struct {
	policies *prometheus.GaugeVec
	ready    *readiness
	lost     prometheus.Gauge
	lastSync prometheus.Gauge
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	m := &metrics{
		policies: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "node_restriction_plus_policies",
			Help: "Policies that this replica holds, by state: ready or not_ready.",
		}, []string{"state"}),
		ready: newReadiness(),
		lost: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "node_restriction_plus_policy_source_lost",
			Help: "1 while the API server does not serve policies because the CRD is missing; " +
				"the last ones stay in force.",
		}),
		lastSync: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "node_restriction_plus_policies_last_sync_timestamp_seconds",
			Help: "When this replica's policies last matched those of the API server, in seconds since 1970. " +
				"They are compared once a minute, bypassing caches; 0 before the first match.",
		}),
	}
	m.publish(policyStates{})
	registerer.MustRegister(m.policies, m.ready, m.lost, m.lastSync)
	return m
}

// publish shows what is held.
func (m *metrics) publish(held policyStates) {
	ready, notReady := held.count()
	m.policies.WithLabelValues("ready").Set(float64(ready))
	m.policies.WithLabelValues("not_ready").Set(float64(notReady))
	m.ready.publish(held)
}

// readiness is a collector with one series per policy. All series change together: no scrape sees half of them.
type readiness struct {
	desc   *prometheus.Desc
	series atomic.Pointer[[]prometheus.Metric]
}

var _ prometheus.Collector = &readiness{}

func newReadiness() *readiness {
	return &readiness{desc: prometheus.NewDesc("node_restriction_plus_policy_ready",
		"1 if a policy is in force as written, 0 if it does not compile. Beyond 100 policies the rest, in the order "+
			"of their names, are one series, other, which is 0 if any of them is not in force as written.",
		[]string{"policy"}, nil)}
}

func (r *readiness) publish(held policyStates) {
	series := make([]prometheus.Metric, 0, maxNamed+1)
	add := func(name string, ready bool) {
		value := 0.0
		if ready {
			value = 1
		}
		series = append(series, prometheus.MustNewConstMetric(r.desc, prometheus.GaugeValue, value, name))
	}
	rest := true
	for _, name := range slices.Sorted(maps.Keys(held)) {
		ready := len(held[name].errs) == 0
		if len(series) == maxNamed || name == other {
			rest = rest && ready
			continue
		}
		add(name, ready)
	}
	add(other, rest)
	r.series.Store(&series)
}

// Describe implements [prometheus.Collector].
func (r *readiness) Describe(descs chan<- *prometheus.Desc) { descs <- r.desc }

// Collect implements [prometheus.Collector].
func (r *readiness) Collect(into chan<- prometheus.Metric) {
	for _, one := range *r.series.Load() {
		into <- one
	}
}
