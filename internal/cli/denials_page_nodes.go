package cli

import (
	"fmt"

	"golang.org/x/net/html"

	"noderestriction.plus/internal/recordlog"
)

// part is a part of an element, to which it adds itself: an attribute, a text or another element.
type part func(parent *html.Node)

// element is an element of some parts, of which nil ones are left out.
func element(name string, parts ...part) part {
	return func(parent *html.Node) {
		node := &html.Node{Type: html.ElementNode, Data: name}
		for _, add := range parts {
			if add != nil {
				add(node)
			}
		}
		parent.AppendChild(node)
	}
}

// attribute is an attribute of an element. Its value is printable, and html.Render escapes it.
func attribute(name, value string) part {
	return func(parent *html.Node) {
		parent.Attr = append(parent.Attr, html.Attribute{Key: name, Val: recordlog.Printable(value)})
	}
}

// text is a text in an element. It is printable, and html.Render escapes it. An element in which it would not gets no text.
func text(s string) part {
	return func(parent *html.Node) {
		if !rendersRaw(parent.Data) {
			appendText(parent, recordlog.Printable(s))
		}
	}
}

func number[N int | uint64](n N) part { return text(fmt.Sprint(n)) }

// newline is white space between elements.
func newline(parent *html.Node) { appendText(parent, "\n") }

// style and script are the only elements whose text is not escaped, and they take none from outside.
func style() part {
	return element("style", func(parent *html.Node) { appendText(parent, pageStyle) })
}

func script() part {
	return element("script", func(parent *html.Node) { appendText(parent, pageScript) })
}

func appendText(parent *html.Node, s string) {
	parent.AppendChild(&html.Node{Type: html.TextNode, Data: s})
}

// rendersRaw reports whether html.Render does not escape the text in an element.
func rendersRaw(name string) bool {
	switch name {
	case "iframe", "noembed", "noframes", "noscript", "plaintext", "script", "style", "xmp":
		return true
	}
	return false
}

// lines are parts with a line end after each.
func lines(parts ...part) part {
	return func(parent *html.Node) {
		for _, add := range parts {
			if add != nil {
				add(parent)
				newline(parent)
			}
		}
	}
}

// each is a part for each of some values, with a line end after it.
func each[T any](values []T, show func(T) part) part {
	return func(parent *html.Node) {
		for _, value := range values {
			show(value)(parent)
			newline(parent)
		}
	}
}
