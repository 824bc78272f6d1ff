// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package observability_test tests the alerts and the dashboard with Prometheus' own parser, query engine and templates.
package observability_test

import (
	"context"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/template"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"sigs.k8s.io/yaml"
)

const (
	alertsDir = "../alerts"
	rulesFile = "node-restriction-plus.rules.yaml"
)

// testFile is a file of tests in the format of promtool test rules, as far as it is used here.
type testFile struct {
	RuleFiles          []string    `json:"rule_files"`
	EvaluationInterval string      `json:"evaluation_interval"`
	Tests              []testGroup `json:"tests"`
}

type testGroup struct {
	Name        string `json:"name"`
	Interval    string `json:"interval"`
	InputSeries []struct {
		Series string `json:"series"`
		Values string `json:"values"`
	} `json:"input_series"`
	AlertRuleTests []alertTest `json:"alert_rule_test"`
}

type alertTest struct {
	EvalTime  string  `json:"eval_time"`
	Alertname string  `json:"alertname"`
	ExpAlerts []alert `json:"exp_alerts"`
}

// alert is one that fires.
type alert struct {
	Labels      map[string]string `json:"exp_labels"`
	Annotations map[string]string `json:"exp_annotations"`
}

// TestAlerts runs the same files as promtool test rules does (make test-alerts), with the parts of Prometheus that decide:
// building promtool takes longer than all other tests together.
func TestAlerts(t *testing.T) {
	rules := readRules(t)
	files, err := filepath.Glob(filepath.Join(alertsDir, "tests", "*.yaml"))
	check(t, err)
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, path := range files {
		file := testFile{}
		data, err := os.ReadFile(path)
		check(t, err)
		check(t, yaml.UnmarshalStrict(data, &file))
		if !slices.Equal(file.RuleFiles, []string{"../" + rulesFile}) {
			t.Errorf("%s: rule_files is %q", path, file.RuleFiles)
		}
		for _, group := range file.Tests {
			t.Run(strings.TrimSuffix(filepath.Base(path), ".yaml")+"/"+group.Name, func(t *testing.T) {
				group.run(t, rules, duration(t, file.EvaluationInterval))
			})
			for _, test := range group.AlertRuleTests {
				fires[test.Alertname] = fires[test.Alertname] || len(test.ExpAlerts) > 0
				silent[test.Alertname] = silent[test.Alertname] || len(test.ExpAlerts) == 0
			}
		}
	}
	for _, rule := range rules {
		if !fires[rule.Alert] || !silent[rule.Alert] {
			t.Errorf("%s: tested to fire: %v, and not to: %v", rule.Alert, fires[rule.Alert], silent[rule.Alert])
		}
	}
}

func readRules(t *testing.T) []rulefmt.Rule {
	t.Helper()
	groups, errs := rulefmt.ParseFile(
		filepath.Join(alertsDir, rulesFile), false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.Default())
	for _, err := range errs {
		t.Error(err)
	}
	if groups == nil || len(groups.Groups) != 1 {
		t.Fatal("the file must have one group")
	}
	return groups.Groups[0].Rules
}

// run evaluates the rules at each interval until the last test's time, as Prometheus does.
func (g *testGroup) run(t *testing.T, rules []rulefmt.Rule, interval time.Duration) {
	t.Helper()
	var series store
	for _, input := range g.InputSeries {
		series.load(t, input.Series, input.Values, duration(t, g.Interval))
	}
	last := time.Duration(0)
	for _, test := range g.AlertRuleTests {
		last = max(last, duration(t, test.EvalTime))
	}
	engine := newEngine()
	active := make([]map[uint64]time.Duration, len(rules)) // since when, by hash of the labels
	for at := time.Duration(0); at <= last; at += interval {
		firing := map[string][]alert{}
		for i := range rules {
			active[i] = evaluate(t, engine, series, &rules[i], at, active[i], firing)
		}
		for _, test := range g.AlertRuleTests {
			if duration(t, test.EvalTime) != at {
				continue
			}
			want, got := test.ExpAlerts, firing[test.Alertname]
			sortAlerts(want)
			sortAlerts(got)
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s at %s (-want +got):\n%s", test.Alertname, test.EvalTime, diff)
			}
		}
	}
}

func sortAlerts(alerts []alert) {
	slices.SortFunc(alerts, func(a, b alert) int {
		return labels.Compare(labels.FromMap(a.Labels), labels.FromMap(b.Labels))
	})
}

// evaluate evaluates a rule once. It returns which alerts are active and since when, and adds those that fire.
func evaluate(
	t *testing.T, engine *promql.Engine, series store, rule *rulefmt.Rule, at time.Duration,
	active map[uint64]time.Duration, firing map[string][]alert,
) map[uint64]time.Duration {
	t.Helper()
	now := map[uint64]time.Duration{}
	for _, s := range query(t, engine, series, rule.Expr, time.UnixMilli(at.Milliseconds())) {
		hash := s.Metric.Hash()
		now[hash] = at
		if since, known := active[hash]; known {
			now[hash] = since
		}
		if at-now[hash] < time.Duration(rule.For) {
			continue
		}
		a := alert{Labels: s.Metric.Map(), Annotations: map[string]string{}}
		delete(a.Labels, model.MetricNameLabel)
		data := template.AlertTemplateData(s.Metric.Map(), nil, "", s)
		maps.Copy(a.Labels, rule.Labels)
		for name, text := range rule.Annotations {
			a.Annotations[name] = expand(t, text, data)
		}
		firing[rule.Alert] = append(firing[rule.Alert], a)
	}
	return now
}

// expand expands an annotation with the names that Prometheus gives it.
func expand(t *testing.T, text string, data any) string {
	t.Helper()
	const names = "{{$labels := .Labels}}{{$value := .Value}}"
	expanded, err := template.NewTemplateExpander(context.Background(), names+text, "annotation", data, 0, nil, nil, nil).Expand()
	check(t, err)
	return expanded
}

func newEngine() *promql.Engine {
	return promql.NewEngine(promql.EngineOpts{
		MaxSamples: 1e6, Timeout: time.Minute, EnableAtModifier: true, EnableNegativeOffset: true,
	})
}

func query(t *testing.T, engine *promql.Engine, series store, expr string, at time.Time) promql.Vector {
	t.Helper()
	q, err := engine.NewInstantQuery(t.Context(), series, nil, expr, at)
	check(t, err)
	defer q.Close()
	result := q.Exec(t.Context())
	check(t, result.Err)
	switch v := result.Value.(type) {
	case promql.Vector:
		return slices.Clone(v)
	case promql.Scalar:
		return promql.Vector{{T: v.T, F: v.V}}
	}
	t.Fatalf("%s is a %s", expr, result.Value.Type())
	return nil
}

// load adds a series in the notation of promtool's tests.
func (s *store) load(t *testing.T, name, values string, interval time.Duration) {
	t.Helper()
	metric, sequence, err := parser.NewParser(parser.Options{}).ParseSeriesDesc(name + " " + values)
	check(t, err)
	var samples []chunks.Sample
	for i, value := range sequence {
		if !value.Omitted {
			samples = append(samples, sample{int64(i) * interval.Milliseconds(), value.Value})
		}
	}
	s.add(metric, samples)
}

func duration(t *testing.T, text string) time.Duration {
	t.Helper()
	d, err := model.ParseDuration(text)
	check(t, err)
	return time.Duration(d)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
