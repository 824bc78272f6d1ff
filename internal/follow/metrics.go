// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package follow

import (
	"github.com/prometheus/client_golang/prometheus"

	"noderestriction.plus/internal/conditions"
)

// reason is why conditions were written, as a label.
type reason string

const (
	policiesChanged reason = "policies" // they or the program's version changed
	chartApplied    reason = "chart"    // the chart was applied
	changed         reason = "changed"  // somebody else changed them
)

func reasonOf(by author) reason {
	switch by {
	case theProgram:
		return policiesChanged
	case theChart:
		return chartApplied
	}
	return changed
}

// metrics are the metrics of the conditions. They exist only if these are kept up to date.
type metrics struct {
	current prometheus.Gauge
	writes  *prometheus.CounterVec
	errors  prometheus.Counter
	left    *prometheus.GaugeVec
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	m := &metrics{
		current: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "node_restriction_plus_conditions_current",
			Help: "1 if the match conditions and the floor are those of the policies that this replica holds; 0 if not, or not yet.",
		}),
		writes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "node_restriction_plus_conditions_writes_total",
			Help: "Updates of the match conditions or the floor by this replica, by reason: policies, if they or the program changed; " +
				"chart, if the chart was applied; changed, if somebody else had changed them.",
		}, []string{"reason"}),
		errors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "node_restriction_plus_conditions_write_errors_total",
			Help: "Updates of the match conditions or the floor that failed. They are retried.",
		}),
		left: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "node_restriction_plus_conditions_rules_left",
			Help: "Rules of policies that deny, whose violations are not refused while no replica answers, by reason: inexpressible, if CEL " +
				"cannot express all of the rule; refused, if the expression would be too large or too expensive.",
		}, []string{"reason"}),
	}
	for _, r := range []reason{policiesChanged, chartApplied, changed} {
		m.writes.WithLabelValues(string(r))
	}
	m.publish(&conditions.Composed{}, false)
	registerer.MustRegister(m.current, m.writes, m.errors, m.left)
	return m
}

// publish shows the state of the conditions.
func (m *metrics) publish(c *conditions.Composed, current bool) {
	value := 0.0
	if current {
		value = 1
	}
	m.current.Set(value)
	m.left.WithLabelValues("inexpressible").Set(float64(c.Inexpressible))
	m.left.WithLabelValues("refused").Set(float64(c.Refused))
}
