// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"maps"
	"runtime"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/healthz"

	"noderestriction.plus/internal/program"
)

// infoCollector exports build info and readiness. Checks run at each scrape, so that the values are current, and they answer
// from memory.
type infoCollector struct {
	build, ready *prometheus.Desc
	checks       map[string]healthz.Checker
}

var _ prometheus.Collector = &infoCollector{}

func newInfoCollector(checks map[string]healthz.Checker) *infoCollector {
	return &infoCollector{
		build: prometheus.NewDesc("node_restriction_plus_build_info",
			"1; the version of the program and of Go are in the labels.", []string{"version", "goversion"}, nil),
		ready: prometheus.NewDesc("node_restriction_plus_ready",
			"1 if a readiness check passes, 0 if it fails. A replica is ready if all pass.", []string{"check"}, nil),
		checks: checks,
	}
}

// Describe implements prometheus.Collector.
func (c *infoCollector) Describe(descs chan<- *prometheus.Desc) {
	descs <- c.build
	descs <- c.ready
}

// Collect implements prometheus.Collector.
func (c *infoCollector) Collect(into chan<- prometheus.Metric) {
	into <- prometheus.MustNewConstMetric(c.build, prometheus.GaugeValue, 1, program.Version(), runtime.Version())
	for _, name := range slices.Sorted(maps.Keys(c.checks)) {
		ready := 0.0
		if c.checks[name](nil) == nil {
			ready = 1
		}
		into <- prometheus.MustNewConstMetric(c.ready, prometheus.GaugeValue, ready, name)
	}
}
