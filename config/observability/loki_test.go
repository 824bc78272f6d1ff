// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package observability_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// recordsFile has records of each form, and lines of other logs.
const recordsFile = "../../internal/denials/testdata/denials-verify.txtar"

func lokiSource() datasource { return datasource{"loki", "${loki}"} }

// lokiQuery is a query as the dashboard has them: a stream, a filter of lines, labels read from JSON, filters of labels, and possibly a
// count by labels. Loki itself is not used here: its license is not one that this project accepts.
type lokiQuery struct {
	stream string
	line   string              // what a line must contain
	labels map[string][]string // paths in the JSON
	equal  map[string]string   // what labels must be
	by     []string            // nil: no count
}

var lokiForm = regexp.MustCompile("^(?:topk\\(\\d+, sum by \\(([a-z, ]+)\\) \\(count_over_time\\()?\\{([^}]+)\\} " +
	"\\|= `([^`]+)` \\| json ((?:[a-z]+=\"[^\"]+\"(?:, )?)+)((?: \\| [a-z]+=\"[^\"]+\")*)(?: \\[\\$[_a-z]+\\]\\)\\)\\))?$")

func parseLoki(t *testing.T, expr string) lokiQuery {
	t.Helper()
	parts := lokiForm.FindStringSubmatch(expr)
	if parts == nil {
		t.Fatalf("the query has another form: %s", expr)
	}
	if strings.HasPrefix(expr, "topk") != strings.HasSuffix(expr, ")))") {
		t.Fatalf("unbalanced: %s", expr)
	}
	q := lokiQuery{stream: parts[2], line: parts[3], labels: map[string][]string{}, equal: map[string]string{}}
	if parts[1] != "" {
		q.by = strings.Split(parts[1], ", ")
	}
	pair := regexp.MustCompile(`([a-z]+)="([^"]+)"`)
	for _, p := range pair.FindAllStringSubmatch(parts[4], -1) {
		q.labels[p[1]] = strings.FieldsFunc(p[2], func(r rune) bool { return strings.ContainsRune(".[]", r) })
	}
	for _, p := range pair.FindAllStringSubmatch(parts[5], -1) {
		q.equal[p[1]] = p[2]
	}
	return q
}

// read returns the labels of a line, and whether the query selects it.
func (q lokiQuery) read(line string) (map[string]string, bool) {
	var value any
	if !strings.Contains(line, q.line) || json.Unmarshal([]byte(line), &value) != nil {
		return nil, false
	}
	found := map[string]string{}
	for label, path := range q.labels {
		found[label] = at(value, path)
	}
	for label, want := range q.equal {
		if found[label] != want {
			return nil, false
		}
	}
	return found, true
}

// at returns the text at a path, or nothing.
func at(value any, path []string) string {
	for _, key := range path {
		switch v := value.(type) {
		case map[string]any:
			value = v[key]
		case []any:
			if i, err := strconv.Atoi(key); err == nil && i < len(v) {
				value = v[i]
				continue
			}
			return ""
		default:
			return ""
		}
	}
	if value == nil {
		return ""
	}
	return fmt.Sprint(value)
}

// TestEachQueryOfLokiFindsTheRecords compares what the queries of the log select with a plain reading of the same lines.
func TestEachQueryOfLokiFindsTheRecords(t *testing.T) {
	file, err := os.ReadFile(recordsFile)
	check(t, err)
	lines := append(strings.Split(string(file), "\n"), `not JSON "logger":"denial"`, `{"msg":"denied","text":"\"logger\":\"denial\""}`)
	queries := 0
	for _, row := range readDashboard(t).Panels {
		for _, p := range row.Panels {
			for _, target := range p.Targets {
				queries++
				q := parseLoki(t, target.Expr)
				if want := `cluster=~"$cluster",namespace=~"$namespace",container="$container"`; q.stream != want {
					t.Errorf("%s: the stream is %s, want %s", p.Title, q.stream, want)
				}
				got, want := map[string]int{}, map[string]int{}
				for _, line := range lines {
					if found, is := q.read(line); is {
						got[key(q, found)]++
					}
					if found, is := plain(line); is && (q.by == nil || found["outcome"] == "denied") {
						want[key(q, found)]++
					}
				}
				if len(want) == 0 || !maps.Equal(got, want) {
					t.Errorf("%s: %s", p.Title, cmp.Diff(want, got))
				}
				for _, name := range regexp.MustCompile(`{{(\w+)}}`).FindAllStringSubmatch(target.LegendFormat, -1) {
					if !slices.Contains(q.by, name[1]) {
						t.Errorf("%s: the legend names the label %s, which is not counted by", p.Title, name[1])
					}
				}
			}
		}
	}
	if queries < 4 {
		t.Errorf("the dashboard has %d queries of the log", queries)
	}
}

// key joins the labels by which a query counts.
func key(q lokiQuery, found map[string]string) string {
	var values []string
	for _, label := range q.by {
		values = append(values, found[label])
	}
	return strings.Join(values, " ")
}

// plain reads a record.
func plain(line string) (map[string]string, bool) {
	var r struct {
		Logger, Msg, Node string
		Violations        []struct{ Policy, Rule string }
	}
	if json.Unmarshal([]byte(line), &r) != nil || r.Logger != "denial" {
		return nil, false
	}
	found := map[string]string{"outcome": r.Msg, "node": r.Node}
	if len(r.Violations) > 0 {
		found["policy"], found["rule"] = r.Violations[0].Policy, r.Violations[0].Rule
	}
	return found, true
}
