package policystore

import "github.com/prometheus/client_golang/prometheus"

// metrics are the metrics of the policies.
type metrics struct {
	policies *prometheus.GaugeVec
	lost     prometheus.Gauge
	lastSync prometheus.Gauge
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	m := &metrics{
		policies: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "node_restriction_plus_policies",
			Help: "Policies that this replica holds, by state: ready or not_ready.",
		}, []string{"state"}),
		lost: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "node_restriction_plus_policy_source_lost",
			Help: "1 while the API server does not serve policies because their definition is gone; " +
				"the last ones stay in force.",
		}),
		lastSync: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "node_restriction_plus_policies_last_sync_timestamp_seconds",
			Help: "When the policies of this replica were last found to be those of the API server, in seconds since 1970.",
		}),
	}
	registerer.MustRegister(m.policies, m.lost, m.lastSync)
	return m
}
