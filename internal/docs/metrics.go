// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"fmt"
	"slices"
	"strings"
)

// manyValues is from how many values on a label's values are described, not listed.
const manyValues = 16

// Metric is one metric of the program.
type Metric struct {
	Name, Type, Help string
	Labels           []Label
	Buckets          []float64 // of a histogram
}

// Label is a label of a metric with the values that it has in a program that has judged nothing yet.
type Label struct {
	Name   string
	Values []string
}

// advice is what to do about a metric.
type advice struct{ metric, do string }

// topic is a section of the page.
type topic struct {
	title   string
	metrics []advice
}

// Metrics renders docs/metrics.md. Every metric needs exactly one row in topics, and every row needs a metric.
func Metrics(metrics []Metric) (string, error) {
	byName := map[string]Metric{}
	for _, m := range metrics {
		byName[m.Name] = m
	}
	var b strings.Builder
	b.WriteString(metricsHead)
	for _, t := range topics() {
		b.WriteString("\n## " + t.title + "\n")
		for _, a := range t.metrics {
			m, registered := byName[a.metric]
			if !registered {
				return "", fmt.Errorf("internal/docs/metrics_topics.go has a second row for %s, or the program has no such metric", a.metric)
			}
			writeMetric(&b, m, a.do)
			delete(byName, a.metric)
		}
	}
	b.WriteString(metricsTail)
	for name := range byName {
		return "", fmt.Errorf("say in internal/docs/metrics_topics.go what to do about %s", name)
	}
	return b.String(), nil
}

func writeMetric(b *strings.Builder, m Metric, do string) {
	fmt.Fprintf(b, "\n### %s\n\n%s. %s\n", m.Name, m.Type, m.Help)
	if len(m.Labels) > 0 {
		b.WriteString("\n| label | values |\n|---|---|\n")
		for _, l := range m.Labels {
			fmt.Fprintf(b, "| `%s` | %s |\n", l.Name, values(l))
		}
	}
	if len(m.Buckets) > 0 {
		texts := make([]string, len(m.Buckets))
		for i, bound := range m.Buckets {
			texts[i] = fmt.Sprint(bound)
		}
		fmt.Fprintf(b, "\nBuckets, in seconds: %s.\n", strings.Join(texts, ", "))
	}
	fmt.Fprintf(b, "\n**What to do.** %s\n", do)
}

// values says what values a label has: all of a closed set, or what they are.
func values(l Label) string {
	switch l.Name {
	case "policy":
		return "the names of policies, 100 at most, and `other` for those beyond"
	case "rule":
		return "[the rules](rules.md), and `unverified` for what could not be evaluated"
	case "action":
		return "`Deny`, `Warn`, `Audit`"
	case "version", "goversion":
		return "a version"
	}
	if len(l.Values) >= manyValues {
		return fmt.Sprintf("%d of a closed set", len(l.Values))
	}
	texts := make([]string, len(l.Values))
	for i, v := range slices.Sorted(slices.Values(l.Values)) {
		texts[i] = "empty"
		if v != "" {
			texts[i] = "`" + v + "`"
		}
	}
	return strings.Join(texts, ", ")
}
