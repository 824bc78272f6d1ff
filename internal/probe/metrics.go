// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import "github.com/prometheus/client_golang/prometheus"

// metrics are the metrics of the enforcement probe. They exist only if it is enabled.
type metrics struct {
	success     prometheus.Gauge
	lastSuccess prometheus.Gauge
	probes      *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer, webhooks []string) *metrics {
	m := &metrics{
		success: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "node_restriction_plus_enforcement_probe_success",
			Help: "1 if the latest enforcement probe was denied by every webhook, as it should be; 0 if it was not, or if there has been none.",
		}),
		lastSuccess: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "node_restriction_plus_enforcement_probe_last_success_timestamp_seconds",
			Help: "When an enforcement probe was last denied by every webhook, in seconds since 1970; 0 if none was.",
		}),
		probes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "node_restriction_plus_enforcement_probes_total",
			Help: "Enforcement probes, by webhook and result: denied is as it should be, allowed means that kubelets are not " +
				"restricted, failed that this is unknown.",
		}, []string{"webhook", "result"}),
	}
	for _, webhook := range webhooks {
		for _, r := range []Result{Denied, Allowed, Failed} {
			m.probes.WithLabelValues(webhook, string(r))
		}
	}
	reg.MustRegister(m.success, m.lastSuccess, m.probes)
	return m
}

func (m *metrics) observe(answers Answers) {
	for webhook, r := range answers.ByWebhook {
		m.probes.WithLabelValues(webhook, string(r)).Inc()
	}
	if answers.Result != Denied {
		m.success.Set(0)
		return
	}
	m.success.Set(1)
	m.lastSuccess.SetToCurrentTime()
}
