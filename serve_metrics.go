package main

import (
	"maps"
	"runtime"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/healthz"

	"noderestriction.plus/internal/cli"
)

// standing is a collector of what the program is and whether it is ready. Checks are asked at each scrape, so that what is
// shown is as new as the scrape, and they answer from memory.
type standing struct {
	build, ready *prometheus.Desc
	checks       map[string]healthz.Checker
}

var _ prometheus.Collector = &standing{}

func newStanding(checks map[string]healthz.Checker) *standing {
	return &standing{
		build: prometheus.NewDesc("node_restriction_plus_build_info",
			"1; the version of the program and of Go are in the labels.", []string{"version", "goversion"}, nil),
		ready: prometheus.NewDesc("node_restriction_plus_ready",
			"1 if a readiness check passes, 0 if it fails. A replica is ready if all pass.", []string{"check"}, nil),
		checks: checks,
	}
}

// Describe implements prometheus.Collector.
func (s *standing) Describe(descs chan<- *prometheus.Desc) {
	descs <- s.build
	descs <- s.ready
}

// Collect implements prometheus.Collector.
func (s *standing) Collect(into chan<- prometheus.Metric) {
	into <- prometheus.MustNewConstMetric(s.build, prometheus.GaugeValue, 1, cli.Version(), runtime.Version())
	for _, name := range slices.Sorted(maps.Keys(s.checks)) {
		ready := 0.0
		if s.checks[name](nil) == nil {
			ready = 1
		}
		into <- prometheus.MustNewConstMetric(s.ready, prometheus.GaugeValue, ready, name)
	}
}
