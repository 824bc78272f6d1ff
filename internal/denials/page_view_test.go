// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package denials

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"noderestriction.plus/internal/denials/pagetest"
	"noderestriction.plus/internal/record"
)

// hostile is what an attacker may try to get into a page.
const hostile = "</script><script>alert(1)</script></title><img src=x onerror=alert(1)>\u2028'\"` {{.}} javascript:alert(1)"

// denial is a record, and its line.
func denial(t *testing.T, seq uint64, text string) string {
	t.Helper()
	r := record.Record{
		Time:  record.Time(time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC).Add(time.Duration(seq) * time.Minute)),
		Level: record.Level, Logger: record.Logger, Msg: "denied", Boot: "B1", Seq: seq, UID: text, Node: text, User: text,
		Operation: text, Resource: text, Subresource: text, Namespace: text, Name: text, Version: text, Fingerprint: "f1",
		Violations: []record.Violation{{Policy: text, Rule: text, Field: text, Reason: text, Detail: text, Action: text}},
	}
	line, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(line) + "\n"
}

// pageOf runs the command and returns the page that it wrote.
func pageOf(t *testing.T, log string, flags ...string) []byte {
	t.Helper()
	t.Chdir(t.TempDir())
	const file, page = "<b>.log", "page.html"
	if err := os.WriteFile(file, []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	root := root()
	root.SetArgs(append([]string{"denials", "--html", page, file}, flags...))
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&out)
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	return madeAt.ReplaceAll(data, []byte("<dt>Made at</dt>"))
}

// madeAt is the only part of a page that differs from run to run.
var madeAt = regexp.MustCompile(`<dt>Made at</dt><dd><time>[^<]*</time> UTC by kubectl-nrp [^<]*</dd>`)

// elements are the elements of a page by their names.
func elements(t *testing.T, page []byte) map[string][]*html.Node {
	t.Helper()
	root, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]*html.Node{}
	for node := range root.Descendants() {
		if node.Type == html.ElementNode {
			all[node.Data] = append(all[node.Data], node)
		}
	}
	return all
}

func attributeOf(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func pageScript(t *testing.T) string {
	t.Helper()
	script, err := os.ReadFile(filepath.Join("page", "script.js"))
	if err != nil {
		t.Fatal(err)
	}
	return string(script)
}

func TestThePageRunsNothingThatARecordHolds(t *testing.T) {
	ours := pageScript(t)
	page := pageOf(t, denial(t, 1, hostile)+denial(t, 2, hostile)[:400]+"\n", "--node", "*", "--title", hostile)
	all := elements(t, page)
	for _, name := range []string{"img", "iframe", "object", "a", "form", "base", "link"} {
		if len(all[name]) > 0 {
			t.Errorf("the page has an element %s", name)
		}
	}
	if len(all["script"]) != 2 || len(all["style"]) != 1 {
		t.Fatalf("the page has %d scripts and %d styles", len(all["script"]), len(all["style"]))
	}
	data, script := all["script"][0], all["script"][1]
	if attributeOf(data, "type") != "application/json" || strings.ContainsAny(data.FirstChild.Data, "<>&") {
		t.Errorf("the data may run: %s", data.FirstChild.Data)
	}
	if script.FirstChild.Data != ours {
		t.Errorf("the script is not ours: %s", script.FirstChild.Data)
	}
	for name, nodes := range all {
		for _, node := range nodes {
			for _, a := range node.Attr {
				if strings.HasPrefix(a.Key, "on") || a.Key == "src" || a.Key == "href" || a.Key == "style" {
					t.Errorf("an element %s has the attribute %s", name, a.Key)
				}
			}
		}
	}
	if bytes.Contains(page, []byte("\u2028")) || !bytes.Contains(page, []byte(`\u2028`)) {
		t.Error("a line separator is not escaped")
	}
}

// What writes markup from text would undo the escaping.
func TestTheScriptOfThePageWritesNoMarkup(t *testing.T) {
	for _, name := range []string{
		"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", "createContextualFragment", "DOMParser",
		"setHTML", "srcdoc", "import(", "javascript:", ".href", ".src",
	} {
		if strings.Contains(pageScript(t), name) {
			t.Errorf("the script has %s", name)
		}
	}
}

func TestARecordIsNothingButText(t *testing.T) {
	plain := pageOf(t, denial(t, 1, pagetest.Harmless)+denial(t, 2, pagetest.Harmless))
	for name, text := range pagetest.HostileTexts() {
		t.Run(name, func(t *testing.T) {
			text := strings.ToValidUTF8(text, "\ufffd") // a line that is not UTF-8 is no record
			pagetest.CheckOutlines(t, plain, pageOf(t, denial(t, 1, text)+denial(t, 2, text)), text)
		})
	}
}

func TestThePageAllowsNothingButItsOwnScriptAndStyle(t *testing.T) {
	all := elements(t, pageOf(t, denial(t, 1, "x")))
	hash := func(n *html.Node) string {
		sum := sha256.Sum256([]byte(n.FirstChild.Data))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	want := fmt.Sprintf("default-src 'none'; style-src %s; script-src %s; base-uri 'none'; form-action 'none'",
		hash(all["style"][0]), hash(all["script"][1]))
	got := ""
	for _, meta := range all["meta"] {
		if attributeOf(meta, "http-equiv") == "Content-Security-Policy" {
			got = attributeOf(meta, "content")
		}
	}
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestThePageIsReadableByAScreenReader(t *testing.T) {
	all := elements(t, pageOf(t, denial(t, 1, "x")))
	ids := map[string]bool{}
	for _, nodes := range all {
		for _, node := range nodes {
			if id := attributeOf(node, "id"); id != "" {
				if ids[id] {
					t.Errorf("two elements have the id %s", id)
				}
				ids[id] = true
			}
		}
	}
	for name, nodes := range all {
		for _, node := range nodes {
			for _, reference := range []string{"aria-labelledby", "aria-describedby", "aria-controls", "for"} {
				if id := attributeOf(node, reference); id != "" && !ids[id] {
					t.Errorf("%s: %s names %q, which there is not", name, reference, id)
				}
			}
		}
	}
	for _, section := range append(all["section"], all["table"]...) {
		caption := section.FirstChild
		for caption != nil && caption.Data != "caption" {
			caption = caption.NextSibling
		}
		if attributeOf(section, "aria-labelledby") == "" && caption == nil {
			t.Errorf("a %s has no name", section.Data)
		}
	}
	for _, th := range all["th"] {
		if attributeOf(th, "scope") == "" {
			t.Error("a header cell does not say of what")
		}
	}
	if len(all["h1"]) != 1 || attributeOf(all["html"][0], "lang") != "en" || len(all["main"]) != 1 || len(all["label"]) != 3 {
		t.Error("there must be one h1 and main, three labels, and a language")
	}
}

// rows returns the number of rows of the list of groups, without its header.
func rows(all map[string][]*html.Node) int {
	n := 0
	for _, tr := range all["tr"] {
		if attributeOf(tr, "role") == "row" {
			n++
		}
	}
	return n - 1
}

func TestThePageMergesEqualRecords(t *testing.T) {
	var log strings.Builder
	for n := uint64(1); n <= 1500; n++ {
		log.WriteString(denial(t, n, fmt.Sprint("x", n%2)))
	}
	page := pageOf(t, log.String(), "--limit", "10", "--title", "prod-eu1")
	if got := rows(elements(t, page)); got != 2 {
		t.Errorf("got %d rows", got)
	}
	for _, want := range []string{
		"The page has 10 single records, denied ones first: 1,490 more are only in the groups (--limit).",
		"<strong>1,500</strong> denied", "<title>prod-eu1 – Denials</title>", `<td role="cell" data-label="Records" class="count">750</td>`,
		"<time>2026-11-24 08:01:00</time><br><time>2026-11-25 08:59:00</time>", "2026-11-24 08:01:00 to 2026-11-25 09:00:00 UTC",
		"The log is complete: 1,500 records of 1 process, none missing.", "Made at", "&lt;b&gt;.log",
	} {
		if !bytes.Contains(page, []byte(want)) {
			t.Errorf("the page does not say: %s", want)
		}
	}
}

func TestThePageIsBounded(t *testing.T) {
	var log strings.Builder
	for n := uint64(1); n <= 6000; n++ {
		log.WriteString(denial(t, n, fmt.Sprintf("%d-%s", n, strings.Repeat("x", 200))))
	}
	page := pageOf(t, log.String())
	for _, want := range []string{
		"groups, with ", " are not listed, but counted in the chart and the totals.", "<strong>6,000</strong> denied",
		"The first 100 of ", " groups",
	} {
		if !bytes.Contains(page, []byte(want)) {
			t.Errorf("the page does not say: %s", want)
		}
	}
	if len(page) > 12<<20 {
		t.Errorf("the page has %d bytes", len(page))
	}
}

func TestThePageSaysWhatIsMissing(t *testing.T) {
	page := string(pageOf(t, denial(t, 2, "x")+denial(t, 4, "x")+denial(t, 5, "x")[:200]+"\n", "--partial"))
	for _, want := range []string{
		"✗ The log is not complete.", "boot B1: 1 record is missing, seq 3", "&lt;b&gt;.log: line 3 cannot be read: it ends too early",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say: %s", want)
		}
	}
}

func TestThePageSaysWhyThereAreNoRecords(t *testing.T) {
	for want, log := range map[string]string{
		"No records in the input. It is empty, which does not prove that nothing was denied.": "",
		"No records in the input. None of its 2 lines is a record, which does not prove that nothing was denied: " +
			"is it the standard output of the webhook?": "text\ntext\n",
		"None of them matches the filters": denial(t, 1, "y"),
	} {
		if page := string(pageOf(t, log, "--node", "x")); !strings.Contains(page, want) {
			t.Errorf("the page does not say: %s", want)
		}
	}
}
