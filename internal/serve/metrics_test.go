// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/spf13/pflag"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"noderestriction.plus/internal/docs"
)

// prefix is that of the program's own metrics; the others are those of libraries.
const prefix = "node_restriction_plus_"

// wired makes all metrics of serve as serve does. They are registered with the one registry of the process, so it is done once.
var wired = sync.OnceValues(func() ([]docs.Metric, error) {
	o := &options{}
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	o.addFlags(flags)
	dir, err := os.MkdirTemp("", "metrics")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := writeServeFiles(dir); err != nil {
		return nil, err
	}
	if err := flags.Parse([]string{
		"--kubeconfig", filepath.Join(dir, "kubeconfig"), "--cert-dir", dir, "--bind-address", "127.0.0.1", "--port", "0",
		"--health-probe-bind-address", "0", "--metrics-bind-address", "0", "--shutdown-delay", "0s",
		"--client-ca-file", filepath.Join(dir, "tls.crt"), "--client-allowed-names", "a",
		"--denial-log-file", filepath.Join(dir, "denials.log"), "--enforcement-probe", "--wiring-check-configuration", "a",
		"--base-conditions", filepath.Join(dir, "conditions.json"),
	}); err != nil {
		return nil, err
	}
	in, err := read(o, logr.Discard())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	p, err := assemble(ctx, o, in, io.Discard, logr.Discard())
	if err == nil {
		all, gatherErr := gather()
		cancel()
		if err = p.run(ctx); err == nil {
			err = gatherErr
		}
		return all, err
	}
	cancel()
	return nil, err
})

// gather reads the program's own metrics.
func gather() ([]docs.Metric, error) {
	families, err := metrics.Registry.Gather()
	if err != nil {
		return nil, err
	}
	var all []docs.Metric
	for _, family := range families {
		if !strings.HasPrefix(family.GetName(), prefix) {
			continue
		}
		kind := strings.ToLower(family.GetType().String())
		m := docs.Metric{Name: family.GetName(), Type: strings.ToUpper(kind[:1]) + kind[1:], Help: family.GetHelp()}
		values := map[string][]string{}
		for _, series := range family.GetMetric() {
			for _, label := range series.GetLabel() {
				name, value := label.GetName(), label.GetValue()
				if !slices.Contains(values[name], value) {
					values[name] = append(values[name], value)
				}
			}
			m.Buckets = nil
			for _, bucket := range series.GetHistogram().GetBucket() {
				m.Buckets = append(m.Buckets, bucket.GetUpperBound())
			}
		}
		for _, label := range family.GetMetric()[0].GetLabel() {
			m.Labels = append(m.Labels, docs.Label{Name: label.GetName(), Values: values[label.GetName()]})
		}
		all = append(all, m)
	}
	return all, nil
}

func wiredMetrics(t *testing.T) []docs.Metric {
	t.Helper()
	all, err := wired()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestEveryMetricHasASeriesFromTheStart holds the page to all that is registered: it is made of series.
func TestEveryMetricHasASeriesFromTheStart(t *testing.T) {
	var gathered []string
	for _, m := range wiredMetrics(t) {
		gathered = append(gathered, m.Name)
	}
	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		metrics.Registry.(prometheus.Collector).Describe(descs)
	}()
	named := regexp.MustCompile(`fqName: "(` + prefix + `[^"]+)"`)
	found := 0
	for desc := range descs {
		name := named.FindStringSubmatch(desc.String())
		if name == nil {
			continue
		}
		found++
		if !slices.Contains(gathered, name[1]) {
			t.Errorf("%s has no series before its first event: the increase to it would not be seen", name[1])
		}
	}
	if found < len(gathered) {
		t.Errorf("%d metrics are registered and %d have series", found, len(gathered))
	}
}

func TestMetricsAreLintFree(t *testing.T) {
	var names []string
	for _, m := range wiredMetrics(t) {
		names = append(names, m.Name)
	}
	problems, err := testutil.GatherAndLint(metrics.Registry, names...)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}
