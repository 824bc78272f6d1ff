// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/project"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path ...string) string {
	t.Helper()
	data, err := project.ReadFile(path...)
	check(t, err)
	return string(data)
}

// current returns the release of Kubernetes in e2e/tools.
func current(t *testing.T) string {
	t.Helper()
	for _, c := range components() {
		t.Setenv(c.program.VersionVariable, "")
	}
	version, err := binaries.Kubelet().Version()
	check(t, err)
	return strings.TrimPrefix(version, "v")
}

// TestClaimsAreTested compares what the chart, the policies and the documentation say about releases with the page: the oldest API server
// and every older kubelet must have a row, or be listed under "Not tested".
func TestClaimsAreTested(t *testing.T) {
	page := readFile(t, "docs", "compatibility.md")
	listed := map[string]bool{}
	for _, row := range rowsOf(page) {
		listed[identity(row)] = true
	}
	_, untested, _ := strings.Cut(page, "## Not tested")
	lists := regexp.MustCompile(`(?m)^\* (API servers|Kubelets) ((?:1\.\d+(?:, | and )?)+)`)
	for _, list := range lists.FindAllStringSubmatch(untested, -1) {
		program := map[string]string{"API servers": "kube-apiserver", "Kubelets": "kubelet"}[list[1]]
		for _, version := range regexp.MustCompile(`1\.\d+`).FindAllString(list[2], -1) {
			if listed[program+" "+version] {
				t.Errorf("%s %s has a row and is listed as not tested", program, version)
			}
			listed[program+" "+version] = true
		}
	}
	oldest := find(t, readFile(t, "charts", "node-restriction-plus", "Chart.yaml"), `kubeVersion: ">=(1\.\d+)\.0-0"`)[0]
	if !listed["kube-apiserver "+oldest] {
		t.Errorf("no row of kube-apiserver %s, the oldest that the chart accepts, and it is not listed as not tested: run make compat KUBE=%[1]s", oldest)
	}
	release := current(t)
	kubelets := find(t, readFile(t, "config", "policies", "recommended.yaml"), `kubelet of Kubernetes 1\.(\d+) to 1\.(\d+)`)
	first, err := strconv.Atoi(kubelets[0])
	check(t, err)
	last, err := strconv.Atoi(kubelets[1])
	check(t, err)
	if newest := "1." + kubelets[1]; newest != minor(release) {
		t.Errorf("recommended.yaml says that kubelets until %s pass, and e2e/tools has %s", newest, release)
	}
	for n := first; n < last; n++ {
		if version := "1." + strconv.Itoa(n); !listed["kubelet "+version] {
			t.Errorf("no row of kubelet %s, which recommended.yaml says passes, and it is not listed as not tested: "+
				"run make compat KUBELET=%[1]s", version)
		}
	}
	if !strings.Contains(page, "Kubernetes "+release) {
		t.Errorf("docs/compatibility.md does not say that each change is tested with Kubernetes %s", release)
	}
	for _, name := range []string{"install.md", "upgrade.md", "faq.md"} {
		if text := readFile(t, "docs", name); !strings.Contains(text, oldest+" or newer") && !strings.Contains(text, oldest+" and newer") {
			t.Errorf("docs/%s does not name %s as the oldest API server", name, oldest)
		}
	}
}

// find returns the groups of a pattern in a text.
func find(t *testing.T, text, pattern string) []string {
	t.Helper()
	match := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if match == nil {
		t.Fatalf("no %s in %.200q", pattern, text)
	}
	return match[1:]
}

// TestRowsNameTestsThatExist fails if a row names a test that its command no longer runs.
func TestRowsNameTestsThatExist(t *testing.T) {
	for _, row := range rowsOf(readFile(t, "docs", "compatibility.md")) {
		i := slices.IndexFunc(components(), func(c component) bool { return c.program.Name == cells(row)[0] })
		if i < 0 {
			t.Errorf("no component has the row %s", row)
			continue
		}
		if want := "`" + strings.Join(components()[i].names(), "`, `") + "`"; cells(row)[2] != want {
			t.Errorf("the row is not of the tests %s, repeat its command: %s", want, row)
		}
	}
}

func TestRowTakesThePlaceOfItsMinorVersion(t *testing.T) {
	of := func(component, release string, passed int) string {
		return row{
			component: component, release: release, tests: []string{"TestA", "TestB"}, counts: counts{passed: passed, skipped: 1},
			date: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), command: "make compat",
		}.String()
	}
	page := "# Title\n\n" + begin + end + "\nText.\n"
	for _, row := range []string{
		of("kubelet", "v1.34.1", 1), of("kube-apiserver", "v1.31.14", 2), of("kubelet", "v1.9.2", 3), of("kubelet", "v1.34.4", 4),
	} {
		var err error
		page, err = withRow(page, row)
		check(t, err)
	}
	want := "# Title\n\n" + begin + header +
		"| kube-apiserver | 1.31.14 | `TestA`, `TestB` | 2 passed, 1 skipped | 2026-01-02 | `make compat` |\n" +
		"| kubelet | 1.9.2 | `TestA`, `TestB` | 3 passed, 1 skipped | 2026-01-02 | `make compat` |\n" +
		"| kubelet | 1.34.4 | `TestA`, `TestB` | 4 passed, 1 skipped | 2026-01-02 | `make compat` |\n\n" + end + "\nText.\n"
	if page != want {
		t.Errorf("got:\n%s\nwant:\n%s", page, want)
	}
	if _, err := withRow("# Title\n", of("kubelet", "v1.34.1", 1)); err == nil {
		t.Error("a page without the part is accepted")
	}
}

func TestEventsAreCounted(t *testing.T) {
	const events = `{"Action":"output","Test":"TestA","Output":"a log\n"}
{"Action":"pass","Test":"TestA/b"}
{"Action":"skip","Test":"TestA/c"}
{"Action":"pass","Test":"TestA"}
{"Action":"output","Test":"TestD","Output":"a failure\n"}
{"Action":"fail","Test":"TestD"}
{"Action":"output","Output":"FAIL\n"}
{"Action":"output","Test":"TestE","Output":"never ended\n"}
{"Action":"fail"}
not JSON
`
	var all counts
	var log strings.Builder
	passed, err := readEvents(strings.NewReader(events), &all, io.Writer(&log))
	check(t, err)
	if want := (counts{passed: 2, skipped: 1}); all != want || !slices.Equal(passed, []string{"TestA/b", "TestA"}) {
		t.Errorf("got %+v, %v", all, passed)
	}
	if want := "a failure\nFAIL\nnot JSON\nnever ended\n"; log.String() != want {
		t.Errorf("got %q, want %q", log.String(), want)
	}
}
