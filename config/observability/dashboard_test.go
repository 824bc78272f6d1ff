// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package observability_test

import (
	"encoding/json"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	grafana "github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/heatmap"
	"github.com/grafana/grafana-foundation-sdk/go/logs"
	"github.com/grafana/grafana-foundation-sdk/go/loki"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
	"github.com/prometheus/prometheus/promql/parser"
)

const dashboardFile = "../dashboards/node-restriction-plus.json"

// schemaVersion is that of Grafana 12 and later; what is older is migrated when it is loaded, and looks changed.
const schemaVersion = 42

// dashboard is a Grafana dashboard, as far as it is looked at here.
type dashboard struct {
	UID           string  `json:"uid"`
	Title         string  `json:"title"`
	SchemaVersion int     `json:"schemaVersion"`
	Panels        []panel `json:"panels"`
	Annotations   struct {
		List []struct {
			Expr string `json:"expr"`
		} `json:"list"`
	} `json:"annotations"`
	Links      []link `json:"links"`
	Templating struct {
		List []struct {
			Name       string      `json:"name"`
			Type       string      `json:"type"`
			Datasource *datasource `json:"datasource"`
			Definition string      `json:"definition"`
		} `json:"list"`
	} `json:"templating"`
}

type panel struct {
	ID          int         `json:"id"`
	Type        string      `json:"type"`
	Title       string      `json:"title"`
	Description string      `json:"description"`
	Datasource  *datasource `json:"datasource"`
	GridPos     struct{ X, Y, W, H int }
	Targets     []target `json:"targets"`
	Links       []link   `json:"links"`
	Panels      []panel  `json:"panels"` // of a collapsed row
}

// all returns the panels, also those in collapsed rows.
func (d dashboard) all() []panel {
	var all []panel
	for _, p := range d.Panels {
		all = append(append(all, p), p.Panels...)
	}
	return all
}

type target struct {
	Datasource   *datasource `json:"datasource"`
	Expr         string      `json:"expr"`
	LegendFormat string      `json:"legendFormat"`
	RefID        string      `json:"refId"`
}

type datasource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

type link struct {
	URL string `json:"url"`
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	data, err := os.ReadFile(dashboardFile)
	check(t, err)
	var d dashboard
	check(t, json.Unmarshal(data, &d))
	return d
}

// filled is a query with the variables as Grafana fills them in, for six hours on a screen.
func filled(expr string) string {
	return strings.NewReplacer("$__rate_interval", "4m", "$__range", "6h", "$__interval", "1m", "$instance", ".*",
		"$cluster", ".*", "$namespace", ".*").Replace(expr)
}

func TestEachQueryOfTheDashboardReturnsSeriesFromARealScrape(t *testing.T) {
	d, end := readDashboard(t), endOfScrapes(t)
	series, engine := readScrapes(t, end), newEngine()
	queries := 0
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			queries++
			numbers := 0
			for _, s := range query(t, engine, series, filled(q.Expr), end) {
				if !math.IsNaN(s.F) {
					numbers++
				}
				for _, name := range regexp.MustCompile(`{{(\w+)}}`).FindAllStringSubmatch(q.LegendFormat, -1) {
					if name[1] != "subresource" && s.Metric.Get(name[1]) == "" {
						t.Errorf("%s %s: the legend names the label %s, which %s does not have", p.Title, q.RefID, name[1], s.Metric)
					}
				}
			}
			if numbers == 0 {
				t.Errorf("%s %s returns no numbers: %s", p.Title, q.RefID, q.Expr)
			}
		}
	}
	if queries < 30 {
		t.Errorf("the dashboard has %d queries", queries)
	}
}

// TestEachQueryOfTheDashboardIsOfTheChosenCluster also holds for the namespace of the replicas. The API server's metrics have none
// of their own.
func TestEachQueryOfTheDashboardIsOfTheChosenCluster(t *testing.T) {
	for _, p := range readDashboard(t).Panels {
		for _, q := range p.Targets {
			expr, err := parser.NewParser(parser.Options{}).ParseExpr(filled(q.Expr))
			check(t, err)
			for _, matchers := range parser.ExtractSelectors(expr) {
				var names []string
				metric := ""
				for _, m := range matchers {
					names = append(names, m.Name)
					if m.Name == "__name__" {
						metric = m.Value
					}
				}
				own := strings.HasPrefix(metric, "node_restriction_plus_")
				if !slices.Contains(names, "cluster") || own != slices.Contains(names, "namespace") {
					t.Errorf("%s %s: %s is chosen by %v", p.Title, q.RefID, metric, names)
				}
			}
		}
	}
}

func TestTheDashboardShowsEachMetricOfItsOwn(t *testing.T) {
	data, err := os.ReadFile(dashboardFile)
	check(t, err)
	// The success of the probe is shown instead of its time, and what is dropped instead of what is written.
	done := map[string]bool{
		"node_restriction_plus_enforcement_probe_last_success_timestamp_seconds": true,
		"node_restriction_plus_events_written_total":                             true,
	}
	for _, s := range readScrapes(t, endOfScrapes(t)) {
		name := s.Labels().Get("__name__")
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			name = strings.TrimSuffix(name, suffix)
		}
		if strings.HasPrefix(name, "node_restriction_plus_") && !done[name] && !strings.Contains(string(data), name) {
			t.Errorf("%s is on no panel", name)
		}
		done[name] = true
	}
}

// TestTheDashboardFitsGrafanasTypes has Grafana's own types for dashboard, panels and queries read it: no field that they do not
// have, none missing that they need, no value that they do not allow.
func TestTheDashboardFitsGrafanasTypes(t *testing.T) {
	known := cog.NewRuntime()
	known.RegisterPanelcfgVariant(heatmap.VariantConfig())
	known.RegisterPanelcfgVariant(logs.VariantConfig())
	known.RegisterPanelcfgVariant(stat.VariantConfig())
	known.RegisterPanelcfgVariant(table.VariantConfig())
	known.RegisterPanelcfgVariant(timeseries.VariantConfig())
	known.RegisterDataqueryVariant(loki.VariantConfig())
	known.RegisterDataqueryVariant(prometheus.VariantConfig())
	data, err := os.ReadFile(dashboardFile)
	check(t, err)
	//nolint:staticcheck // SA1019: files for Grafana's sidecar are of this kind; version 2 is for objects of its API.
	var strict grafana.Dashboard
	// It returns a list of errors, also when it is empty.
	if err := strict.UnmarshalJSONStrict(data); err != nil && err.Error() != "" {
		t.Error(err)
	}
	if err := strict.Validate(); err != nil {
		t.Error(err)
	}
	for _, p := range readDashboard(t).all() {
		if !slices.Contains([]string{"heatmap", "logs", "row", "stat", "table", "timeseries"}, p.Type) {
			t.Errorf("%s: nothing knows the fields of a %s here", p.Title, p.Type)
		}
	}
}

func TestTheDashboardIsOneForACurrentGrafana(t *testing.T) {
	d := readDashboard(t)
	if d.SchemaVersion != schemaVersion || d.UID != "node-restriction-plus" || d.Title == "" {
		t.Errorf("schemaVersion %d, uid %q, title %q", d.SchemaVersion, d.UID, d.Title)
	}
	source := datasource{"prometheus", "${datasource}"}
	for _, v := range d.Templating.List {
		if (v.Type == "datasource") != (v.Name == "datasource" || v.Name == "loki") || v.Type == "query" && *v.Datasource != source {
			t.Errorf("variable %s is of type %s", v.Name, v.Type)
		}
		metric, ok := strings.CutPrefix(v.Definition, "label_values(")
		if name, _, _ := strings.Cut(metric, ","); ok && !strings.HasPrefix(name, "node_restriction_plus_") {
			t.Errorf("variable %s: %s", v.Name, v.Definition)
		}
	}
	for _, a := range d.Annotations.List {
		if a.Expr != "" {
			_, err := parser.NewParser(parser.Options{}).ParseExpr(a.Expr)
			check(t, err)
		}
	}
	ids := map[int]bool{}
	for _, p := range d.all() {
		if ids[p.ID] || p.Title == "" {
			t.Errorf("panel %q has the id %d", p.Title, p.ID)
		}
		ids[p.ID] = true
	}
	checkPanels(t, d.Panels, source)
	for _, row := range d.Panels {
		checkPanels(t, row.Panels, lokiSource())
	}
}

// checkPanels checks that no panel lies on another one, and that each has a description and the data source.
func checkPanels(t *testing.T, panels []panel, source datasource) {
	t.Helper()
	taken := map[[2]int]string{}
	for _, p := range panels {
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%q lies on %q", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Description == "" || *p.Datasource != source {
			t.Errorf("%s: description %q, datasource %v", p.Title, p.Description, p.Datasource)
		}
		for _, q := range p.Targets {
			if *q.Datasource != source {
				t.Errorf("%s: datasource %v", p.Title, q.Datasource)
			}
		}
	}
}

func TestTheDashboardLinksToPagesThatExist(t *testing.T) {
	d := readDashboard(t)
	links := slices.Clone(d.Links)
	for _, p := range d.all() {
		links = append(links, p.Links...)
	}
	for _, l := range links {
		path, ok := strings.CutPrefix(l.URL, "https://noderestriction.plus/")
		if _, err := os.Stat("../../" + path); err != nil || !ok {
			t.Errorf("%s: %v", l.URL, err)
		}
	}
	for _, rule := range readRules(t) {
		if !slices.ContainsFunc(links, func(l link) bool { return strings.HasSuffix(l.URL, "/"+rule.Alert+".md") }) {
			t.Errorf("no panel links to the page of %s", rule.Alert)
		}
	}
}

// TestAlertsOnTheRecordedScrapes shows that on what was really scraped the alerts fire for what was done, and no others.
func TestAlertsOnTheRecordedScrapes(t *testing.T) {
	end := endOfScrapes(t)
	series, engine := readScrapes(t, end), newEngine()
	var active []string
	for _, rule := range readRules(t) {
		if len(query(t, engine, series, rule.Expr, end)) > 0 && !slices.Contains(active, rule.Alert) {
			active = append(active, rule.Alert)
		}
	}
	want := []string{
		"NodeRestrictionPlusDenials", "NodeRestrictionPlusCallErrors", "NodeRestrictionPlusFailOpen",
		"NodeRestrictionPlusMatchConditionErrors", "NodeRestrictionPlusAuthorizerReloadErrors", "NodeRestrictionPlusAuthorizerDenials",
	}
	for _, name := range want {
		if !slices.Contains(active, name) {
			t.Errorf("%s does not fire", name)
		}
	}
	for _, name := range active {
		// The certificate of e2e is for a day.
		if !slices.Contains(want, name) && name != "NodeRestrictionPlusCertificateExpiring" {
			t.Errorf("%s fires", name)
		}
	}
}
