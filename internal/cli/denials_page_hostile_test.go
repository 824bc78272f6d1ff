package cli

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"noderestriction.plus/internal/record"
	"noderestriction.plus/internal/recordlog"
)

// harmless is a text that stands where a hostile one could.
const harmless = "harmless"

// hostileTexts are what an attacker may try to get into a page. Any of them may be in any field.
func hostileTexts() map[string]string {
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
		"white space, and what is none":      "  two  spaces \u00a0\u3000 ",
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
		fmt.Fprintf(&b, "%d %d %s %s\n", depth, n.Type, n.Namespace, n.Data)
		for _, a := range n.Attr {
			fmt.Fprintf(&b, "%d %s:%s=%s\n", depth, a.Namespace, a.Key, a.Val)
		}
	}
	return b.String()
}

// checkOutlines fails if a page with a hostile text is anything but the page with the harmless one, with the printed form
// of the one text for the other.
func checkOutlines(t *testing.T, harmlessPage, hostilePage []byte, hostile string) {
	t.Helper()
	plain := outline(t, harmlessPage)
	if strings.Count(plain, harmless) < 8 {
		t.Fatalf("the text is in no page: %s", plain)
	}
	want := strings.ReplaceAll(plain, harmless, recordlog.Printable(hostile))
	if got := outline(t, hostilePage); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestARecordIsNothingButText(t *testing.T) {
	plain := pageOf(t, denial(t, 1, harmless)+denial(t, 2, harmless))
	for name, text := range hostileTexts() {
		t.Run(name, func(t *testing.T) {
			text := strings.ToValidUTF8(text, "\ufffd") // a line that is not UTF-8 is no record
			checkOutlines(t, plain, pageOf(t, denial(t, 1, text)+denial(t, 2, text)), text)
		})
	}
}

// pageDataOf is a page with one text wherever a page has a text.
func pageDataOf(text string) *pageData {
	row := &recordlog.Row{}
	row.Msg, row.Boot, row.Seq, row.UID, row.Node, row.User = "denied", text, 7, text, text, text
	row.Operation, row.Resource, row.Subresource, row.Namespace, row.Name = text, text, text, text, text
	row.Violations = []record.Violation{{Policy: text, Rule: text, Field: text, Reason: text, Detail: text, Action: text}}
	top := pageTop{ID: text, Title: text, Heading: text, Rows: []pageTopRow{{Name: text, Count: 1, Percent: text}}, Rest: 1}
	return &pageData{
		From: text, To: text, Filters: []string{text, text}, Unsure: text,
		Verdict: text, Summary: text, Problems: []string{text, text}, Rest: 1,
		Totals: []pageTotal{{Class: text, Label: text, Count: 1}},
		Chart: &chart{
			Width: 10, Step: text, Max: text, Half: text, Start: text, Until: text, Title: text,
			Bars: []bar{{Title: text, From: text, Counts: []uint64{1}, Segments: []segment{{Class: text, Y: text, Height: text}}}},
		},
		Top: []pageTop{top}, Rows: []*recordlog.Row{row}, Left: text,
	}
}

func render(t *testing.T, node *html.Node) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := html.Render(&b, node); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// The log that a page is made of has no such text. The page does not rely on it.
func TestAPageEscapesWhateverItIsGiven(t *testing.T) {
	plain := render(t, pageDataOf(harmless).document())
	for name, text := range hostileTexts() {
		t.Run(name, func(t *testing.T) {
			checkOutlines(t, plain, render(t, pageDataOf(text).document()), text)
		})
	}
}

func TestNoElementHasATextThatIsNotEscaped(t *testing.T) {
	for _, name := range []string{
		"iframe", "math", "noembed", "noframes", "noscript", "option", "p", "plaintext", "pre", "script", "select", "style", "svg",
		"td", "template", "textarea", "title", "xmp",
	} {
		for kind, hostile := range hostileTexts() {
			root := &html.Node{Type: html.DocumentNode}
			element(name, text(hostile))(root)
			inner := strings.TrimSuffix(strings.TrimPrefix(string(render(t, root)), "<"+name+">"), "</"+name+">")
			if strings.ContainsAny(inner, "<>\"'") {
				t.Errorf("%s has %s: %s", name, kind, inner)
			}
		}
	}
}
