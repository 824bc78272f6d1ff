// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package observability_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/tsdb/chunks"
)

// scrapeInterval is the time between the two recorded scrapes, as the tests have it.
const scrapeInterval = time.Minute

// job is what is scraped; Prometheus adds its labels.
type job struct{ file, name, instance string }

func jobs() []job {
	return []job{
		{"program", "node-restriction-plus-metrics", "10.0.0.1:8443"},
		{"apiserver", "apiserver", "10.0.0.9:6443"},
	}
}

// readScrapes reads what was scraped of the product and of an API server, twice each, between which there were writes of each
// outcome. It was recorded by go -C e2e test ./scrapes -update, and the same test tells when it is no longer what is scraped.
func readScrapes(t *testing.T, end time.Time) store {
	t.Helper()
	samples := map[string][]chunks.Sample{}
	names := map[string]labels.Labels{}
	for _, j := range jobs() {
		for number, at := range map[string]time.Time{"1": end.Add(-scrapeInterval), "2": end} {
			text, err := os.ReadFile(filepath.Join("testdata", j.file+"-"+number+".prom"))
			check(t, err)
			for _, s := range parseScrape(t, text) {
				b := labels.NewBuilder(s.name)
				b.Set("job", j.name)
				b.Set("instance", j.instance)
				name := b.Labels()
				key := name.String()
				names[key] = name
				samples[key] = insert(samples[key], sample{at.UnixMilli(), s.value})
			}
		}
	}
	var all store
	for key, name := range names {
		all.add(name, samples[key])
	}
	return all
}

// insert keeps two samples in the order of time.
func insert(samples []chunks.Sample, s sample) []chunks.Sample {
	if len(samples) > 0 && samples[0].T() > s.at {
		return append([]chunks.Sample{s}, samples...)
	}
	return append(samples, s)
}

type scraped struct {
	name  labels.Labels
	value float64
}

func parseScrape(t *testing.T, text []byte) []scraped {
	t.Helper()
	var all []scraped
	p := textparse.NewPromParser(text, labels.NewSymbolTable(), false)
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		check(t, err)
		if entry != textparse.EntrySeries {
			continue
		}
		_, _, value := p.Series()
		s := scraped{value: value}
		p.Labels(&s.name)
		all = append(all, s)
	}
	if len(all) == 0 {
		t.Fatal("an empty scrape")
	}
	return all
}

// endOfScrapes is when the second scrape was made: just after the last probe.
func endOfScrapes(t *testing.T) time.Time {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "program-2.prom"))
	check(t, err)
	for _, s := range parseScrape(t, text) {
		if s.name.Get("__name__") == "node_restriction_plus_enforcement_probe_last_success_timestamp_seconds" {
			return time.Unix(int64(s.value)+1, 0)
		}
	}
	t.Fatal(fmt.Errorf("the scrape has no probe"))
	return time.Time{}
}
