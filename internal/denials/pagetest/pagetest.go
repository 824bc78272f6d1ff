// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package pagetest compares pages with texts that an attacker may have chosen with the same pages with harmless ones.
package pagetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"noderestriction.plus/internal/text"
)

// Harmless is a text that stands where a hostile one could.
const Harmless = "harmless"

// HostileTexts are what an attacker may try to get into a page. Any of them may be in any field.
func HostileTexts() map[string]string {
	return map[string]string{
		"an element":                         "<img src=x onerror=alert(1)><svg onload=alert(1)><iframe src=//x>",
		"the end of the script":              "</script><script>alert(1)</script>",
		"the end of all that is open":        "</title></style></td></tr></table></svg></body></html><base href=//x>",
		"an attribute, in double quotes":     `" onmouseover="alert(1)" x="`,
		"an attribute, in single quotes":     `' autofocus onfocus='alert(1)`,
		"an attribute, without quotes":       "x onclick=alert(1) `",
		"a comment":                          "<!-- <!--> --> --!> <![CDATA[ ]]> <?x ?> <!DOCTYPE x>",
		"character references":               "&lt;script&gt;&#60;b&#x3e;&amp;&nbsp",
		"a script in a URL":                  "javascript:alert(1)",
		"a template":                         "{{.}} ${alert(1)}",
		"NUL":                                "<\x00script>\x00alert(1)</scr\x00ipt>",
		"what is not UTF-8":                  "\xff<b>\xc0\xbc\xe2\x80<i>\xf0\x9f",
		"control characters":                 "\x1b[31m\x07\x08\x7f\u009b\r\n\t<b\x0c>",
		"bidi and other invisible text":      "\u202e\u2066\u200f\u2028\u2029\ufeff\u00ad\U000e0041",
		"what is an escape already":          `\x00 \u202e \\u2028`,
		"white space, and look-alikes":       "  two  spaces \u00a0\u3000 ",
		"an end tag at the end, not closed":  "</script",
		"markup that another parser repairs": "<<b>><math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;b&gt;\">",
	}
}

// outline is all that a page has, as a browser sees it: a line for each element, attribute and text.
func outline(t *testing.T, page []byte) string {
	t.Helper()
	root, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for n := range root.Descendants() {
		depth := 0
		for range n.Ancestors() {
			depth++
		}
		if n.Parent != nil && n.Parent.Data == "script" && isData(n.Parent) {
			outlineData(t, &b, n.Data)
			continue
		}
		fmt.Fprintf(&b, "%d %d %s %s\n", depth, n.Type, n.Namespace, n.Data)
		for _, a := range n.Attr {
			fmt.Fprintf(&b, "%d %s:%s=%s\n", depth, a.Namespace, a.Key, a.Val)
		}
	}
	return b.String()
}

func isData(script *html.Node) bool {
	return slices.ContainsFunc(script.Attr, func(a html.Attribute) bool { return a.Key == "type" && a.Val == "application/json" })
}

// outlineData writes the data of the page's script: a line for each value.
func outlineData(t *testing.T, b *strings.Builder, text string) {
	t.Helper()
	var data any
	if err := json.Unmarshal([]byte(text), &data); err != nil {
		t.Fatal(err)
	}
	var write func(path string, value any)
	write = func(path string, value any) {
		switch v := value.(type) {
		case map[string]any:
			for _, key := range slices.Sorted(maps.Keys(v)) {
				write(path+"."+key, v[key])
			}
		case []any:
			for i := range v {
				write(fmt.Sprintf("%s[%d]", path, i), v[i])
			}
		default:
			fmt.Fprintf(b, "%s=%v\n", path, v)
		}
	}
	write("data", data)
}

// CheckOutlines fails if a page with a hostile text is anything but the page with the harmless one, with the printed form
// of the one text for the other.
func CheckOutlines(t *testing.T, harmlessPage, hostilePage []byte, hostile string) {
	t.Helper()
	plain := outline(t, harmlessPage)
	if strings.Count(plain, Harmless) < 8 {
		t.Fatalf("the text is in no page: %s", plain)
	}
	want := strings.ReplaceAll(plain, Harmless, text.Printable(hostile))
	got := strings.Split(outline(t, hostilePage), "\n")
	for i, line := range strings.Split(want, "\n") {
		if i >= len(got) || got[i] != line {
			t.Fatalf("line %d of the outline: got\n%s\nwant\n%s", i, strings.Join(got[min(i, len(got)):min(i+3, len(got))], "\n"), line)
		}
	}
}
