// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package wiringcheck

import (
	"github.com/prometheus/client_golang/prometheus"

	"noderestriction.plus/internal/wiring"
)

// The effects of differences, as a label.
const (
	effectWeaker = "weaker"
	effectOther  = "other"
)

// metrics are the metrics of the comparison. They exist only if it is enabled.
type metrics struct {
	success     prometheus.Gauge
	differences *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		success: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "node_restriction_plus_wiring_check_success",
			Help: "1 if the webhook configuration and the floor could be compared with what was installed; 0 if not, or not yet.",
		}),
		differences: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "node_restriction_plus_wiring_differences",
			Help: "Differences between the webhook configuration or the floor and what was installed, by part. The effect is weaker " +
				"if writes may pass that were denied before.",
		}, []string{"part", "effect"}),
	}
	m.set(nil)
	reg.MustRegister(m.success, m.differences)
	return m
}

// set publishes differences that were found.
func (m *metrics) set(found []wiring.Difference) {
	count := map[[2]string]float64{}
	for _, d := range found {
		effect := effectOther
		if d.Weaker {
			effect = effectWeaker
		}
		count[[2]string{d.Part, effect}]++
	}
	for _, part := range wiring.Parts() {
		for _, effect := range []string{effectWeaker, effectOther} {
			m.differences.WithLabelValues(part, effect).Set(count[[2]string{part, effect}])
		}
	}
}
