// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build browser

package denials

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"noderestriction.plus/internal/record"
	"noderestriction.plus/internal/text"
)

// browser returns a browser that can print a page after its script has run. Without one the test fails.
func browser(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("the script of the page needs chromium or google-chrome in PATH")
	return ""
}

// shownBy returns the page as the browser shows it at a fragment, which has the filters.
func shownBy(t *testing.T, browser, page string, filters url.Values) *html.Node {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), browser, "--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir="+t.TempDir(),
		"--virtual-time-budget=5000", "--dump-dom", "file://"+page+"#"+filters.Encode())
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	root, err := html.Parse(bytes.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// textOf returns the text of the elements with an id or a class, joined by spaces.
func textOf(root *html.Node, id, class string) string {
	var all []string
	for n := range root.Descendants() {
		if n.Type != html.ElementNode || id != "" && attributeOf(n, "id") != id || class != "" && attributeOf(n, "class") != class {
			continue
		}
		for d := range n.Descendants() {
			if d.Type == html.TextNode && strings.TrimSpace(d.Data) != "" {
				all = append(all, strings.TrimSpace(d.Data))
			}
		}
	}
	return strings.Join(all, " ")
}

// madeLine is the line of a record of a node at a time, with violations such as "policy/rule".
func madeLine(t *testing.T, seq uint64, outcome, node string, at time.Time, violations ...string) string {
	t.Helper()
	line := denial(t, seq, node)
	line = strings.Replace(line, `"msg":"denied"`, `"msg":"`+outcome+`"`, 1)
	before, rest, _ := strings.Cut(line, `"ts":"`)
	line = before + `"ts":"` + at.UTC().Format(record.TimeLayout) + rest[strings.Index(rest, `"`):]
	before, rest, _ = strings.Cut(line, `"violations":[`)
	var all []string
	for _, v := range violations {
		policy, rule, _ := strings.Cut(v, "/")
		all = append(all, fmt.Sprintf(`{"policy":%q,"generation":1,"rule":%q,"field":"f","reason":"r","detail":"d %s","action":"Deny"}`,
			policy, rule, v))
	}
	return before + `"violations":[` + strings.Join(all, ",") + rest[strings.Index(rest, "]"):]
}

// browserLog is 60 denied records of one node within a minute, ten audited ones of another over ten hours, and a hostile one.
func browserLog(t *testing.T) string {
	t.Helper()
	at := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	var log strings.Builder
	seq := uint64(0)
	add := func(outcome, node string, at time.Time, violations ...string) {
		seq++
		log.WriteString(madeLine(t, seq, outcome, node, at, violations...))
	}
	for n := range 60 {
		add("denied", "worker-1", at.Add(5*time.Hour+time.Duration(n)*time.Second), "recommended/node-labels", "site/node-taints")
	}
	for n := range 10 {
		add("audited", "worker-2", at.Add(time.Duration(n)*time.Hour), "recommended/node-taints")
	}
	add("warned", hostile, at, "site/node-labels")
	return log.String()
}

func TestTheScriptOfThePageFilters(t *testing.T) {
	program := browser(t)
	page := pageOf(t, browserLog(t))
	escaped := text.Printable(hostile)
	file := filepath.Join(t.TempDir(), "page.html")
	if err := os.WriteFile(file, page, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		filters                        url.Values
		shown, totals, caption, chosen string
	}{
		"nothing is filtered": {
			shown: "3 groups of 71 records", totals: "60 denied 1 warned 10 audited", caption: "Records per 10 minutes, 2026-11-24 08:00:00",
		},
		"a node and an action, which leaves the totals of the others": {
			filters: url.Values{"node": {"worker-2"}, "action": {"denied"}}, shown: "0 groups of 0 records",
			totals: "0 denied 0 warned 10 audited", chosen: "action denied × node worker-2 ×",
		},
		"a rule and a policy of one violation, as single records": {
			filters: url.Values{"rule": {"node-taints"}, "policy": {"recommended"}, "view": {"single"}}, shown: "10 records",
			totals: "0 denied 0 warned 10 audited",
		},
		"a time in finer steps, and words": {
			filters: url.Values{"from": {"2026-11-24T13:00:10Z"}, "to": {"2026-11-24T13:00:30Z"}, "q": {"TAINTS worker-1"}},
			shown:   "1 group of 20 records", totals: "20 denied 0 warned 0 audited",
			caption: "Records per second, 2026-11-24 13:00:10 to 2026-11-24 13:00:30 UTC",
			chosen:  "2026-11-24 13:00:10 to 2026-11-24 13:00:30 ×",
		},
		"text of an attacker, and values that mean nothing": {
			filters: url.Values{"node": {escaped}, "q": {"<img"}, "from": {"x"}, "order": {"__proto__"}, "view": {"<b>"}},
			shown:   "1 group of 1 record", totals: "0 denied 1 warned 0 audited", chosen: "node </script><script>",
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := shownBy(t, program, file, test.filters)
			for want, got := range map[string]string{
				test.shown: textOf(root, "shown", ""), test.totals: textOf(root, "totals", ""),
			} {
				if got != want {
					t.Errorf("got %q, want %q", got, want)
				}
			}
			if got := textOf(root, "chart", ""); !strings.Contains(got, test.caption) {
				t.Errorf("the chart says %q", got)
			}
			if got := textOf(root, "filters", ""); !strings.Contains(got, test.chosen) {
				t.Errorf("the filters are %q", got)
			}
			for n := range root.Descendants() {
				if n.Type == html.ElementNode && (n.Data == "img" || n.Data == "b" && n.Parent.Data == "select") {
					t.Errorf("the page has an element %s", n.Data)
				}
			}
		})
	}
}

func TestTheScriptOfThePageShowsABoundedNumberOfRows(t *testing.T) {
	program := browser(t)
	var log strings.Builder
	for n := uint64(1); n <= 3000; n++ {
		log.WriteString(madeLine(t, n, "denied", fmt.Sprint("worker-", n), time.Unix(int64(n)*60, 0), "recommended/node-labels"))
	}
	page := pageOf(t, log.String())
	file := filepath.Join(t.TempDir(), "page.html")
	if err := os.WriteFile(file, page, 0o600); err != nil {
		t.Fatal(err)
	}
	root := shownBy(t, program, file, nil)
	if got, want := textOf(root, "shown", ""), "3,000 groups of 3,000 records, 1 to 100"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	n := 0
	for d := range root.Descendants() {
		if d.Type == html.ElementNode {
			n++
		}
	}
	if n > 4000 {
		t.Errorf("the page has %d elements", n)
	}
}
