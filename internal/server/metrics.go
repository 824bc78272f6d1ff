// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"math"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the metrics of the listener. None has a label whose values a client chooses.
type metrics struct {
	connections        prometheus.Gauge
	connectionsEvicted prometheus.Counter
	connectionErrors   prometheus.Counter
	shed               *prometheus.CounterVec
	duration           prometheus.Histogram
	panics             prometheus.Counter
}

func newMetrics(
	registerer prometheus.Registerer, certificates CertificateSource, clients *ClientCA, inFlight *handling,
) *metrics {
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
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "node_restriction_plus_request_duration_seconds",
			Help: "Time from the headers of a request to the end of its answer: to receive the review, to evaluate it, and to " +
				"write the record of a denial.",
			Buckets: []float64{
				50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 1, 2.5,
			},
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "node_restriction_plus_listener_panics_total",
			Help: "Panics that no handler recovered from.",
		}),
	}
	for _, reason := range []string{"bytes", "large-bytes", "requests"} {
		m.shed.WithLabelValues(reason)
	}
	expiry := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "node_restriction_plus_certificate_expiry_timestamp_seconds",
		Help: "When the first certificate of the served chain expires, in seconds since 1970. NaN before the first certificate.",
	}, func() float64 {
		expiry := certificates.Expiry()
		if expiry.IsZero() {
			return math.NaN()
		}
		return float64(expiry.Unix())
	})
	oldest := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "node_restriction_plus_oldest_request_age_seconds",
		Help: "Age of the oldest request that is being handled; 0 without requests.",
	}, func() float64 { return inFlight.age(time.Now()).Seconds() })
	registerer.MustRegister(oldest)
	registerer.MustRegister(m.connections, m.connectionsEvicted, m.connectionErrors, m.shed, m.duration,
		m.panics, expiry,
		reloadErrors("serving-certificate", func() float64 { return float64(certificates.RenewalErrors()) }))
	if clients != nil {
		registerer.MustRegister(
			reloadErrors("client-ca", func() float64 { return float64(clients.reloadErrors.Load()) }))
	}
	return m
}

// timed measures how long a handler takes.
func (m *metrics) timed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		defer func() { m.duration.Observe(time.Since(start).Seconds()) }()
		next.ServeHTTP(w, r)
	})
}

func reloadErrors(file string, count func() float64) prometheus.CounterFunc {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name:        "node_restriction_plus_certificate_reload_errors_total",
		Help:        "Failures to reload or renew a certificate: serving-certificate or client-ca.",
		ConstLabels: prometheus.Labels{"file": file},
	}, count)
}
