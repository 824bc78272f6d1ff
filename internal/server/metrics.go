package server

import "github.com/prometheus/client_golang/prometheus"

// metrics are the metrics of the listener. None has a label whose values a client chooses.
type metrics struct {
	connections        prometheus.Gauge
	connectionsEvicted prometheus.Counter
	connectionErrors   prometheus.Counter
	shed               *prometheus.CounterVec
	panics             prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer, certificates *Certificates, clients *ClientAuthority) *metrics {
	m := &metrics{
		connections: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "node_restriction_plus_connections",
			Help: "Open connections to the admission listener.",
		}),
		connectionsEvicted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "node_restriction_plus_connections_evicted_total",
			Help: "Connections closed to make room for others.",
		}),
		connectionErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "node_restriction_plus_connection_errors_total",
			Help: "Failed handshakes and other errors of connections to the admission listener.",
		}),
		shed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "node_restriction_plus_requests_shed_total",
			Help: "Requests for which there was no room, by what had run out: bytes, large-bytes or requests.",
		}, []string{"reason"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "node_restriction_plus_listener_panics_total",
			Help: "Panics that no handler recovered from by itself.",
		}),
	}
	expiry := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "node_restriction_plus_certificate_expiry_timestamp_seconds",
		Help: "When the first certificate of the served chain expires, in seconds since 1970.",
	}, func() float64 { return float64(certificates.Expiry().Unix()) })
	registerer.MustRegister(m.connections, m.connectionsEvicted, m.connectionErrors, m.shed, m.panics, expiry,
		reloadErrors("serving-certificate", func() float64 { return float64(certificates.reloadErrors.Load()) }))
	if clients != nil {
		registerer.MustRegister(
			reloadErrors("client-authority", func() float64 { return float64(clients.reloadErrors.Load()) }))
	}
	return m
}

func reloadErrors(file string, count func() float64) prometheus.CounterFunc {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name:        "node_restriction_plus_certificate_reload_errors_total",
		Help:        "Times that files could not be read again, by which: serving-certificate or client-authority.",
		ConstLabels: prometheus.Labels{"file": file},
	}, count)
}
