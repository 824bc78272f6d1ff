package cli

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"golang.org/x/net/html"

	"noderestriction.plus/internal/program"
)

// document is the page as a tree.
func (d *pageData) document() *html.Node {
	root := &html.Node{Type: html.DocumentNode}
	root.AppendChild(&html.Node{Type: html.DoctypeNode, Data: "html"})
	element("html", attribute("lang", "en"), newline, lines(head(), d.body()))(root)
	return root
}

func head() part {
	return element("head", newline, lines(
		element("meta", attribute("charset", "utf-8")),
		element("meta", attribute("http-equiv", "Content-Security-Policy"), attribute("content", contentPolicy())),
		meta("viewport", "width=device-width, initial-scale=1"),
		meta("color-scheme", "light dark"),
		meta("referrer", "no-referrer"),
		element("title", text("Denials")),
		style(),
	))
}

func meta(name, content string) part {
	return element("meta", attribute("name", name), attribute("content", content))
}

// contentPolicy is the Content-Security-Policy, which has the hashes of style and script.
func contentPolicy() string {
	return fmt.Sprintf("default-src 'none'; style-src %s; script-src %s; base-uri 'none'; form-action 'none'",
		sourceHash(pageStyle), sourceHash(pageScript))
}

// sourceHash is a text as a Content-Security-Policy names it.
func sourceHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func (d *pageData) body() part {
	return element("body", newline, lines(
		d.header(),
		element("main", newline, lines(
			d.verdict(),
			d.when(),
			element("div", attribute("class", "top"), newline, each(d.Top, pageTop.section)),
			d.records(),
		)),
		element("footer", element("p",
			text("Made by "+program.Name+" "+program.Version()+". “?” is what the log does not have."))),
		script(),
	))
}

func (d *pageData) header() part {
	span := element("p", text("No record"))
	if d.From != "" {
		span = element("p", text("From "), element("time", text(d.From)), text(" to "), element("time", text(d.To)), text(" UTC"))
	}
	return element("header", newline, lines(element("h1", text("Denials")), span, d.filters(), paragraph(d.Unsure)))
}

func (d *pageData) filters() part {
	if len(d.Filters) == 0 {
		return nil
	}
	return element("p", text("Only "), each(d.Filters, func(filter string) part { return element("code", text(filter)) }))
}

// paragraph is a paragraph with a text, if there is one.
func paragraph(s string) part {
	if s == "" {
		return nil
	}
	return element("p", text(s))
}

// note is a remark.
func note(s string) part { return element("p", attribute("class", "note"), text(s)) }

// section is a section with its title and some parts.
func section(id, title string, parts ...part) part {
	heading := element("h2", attribute("id", id), text(title))
	return element("section", append([]part{attribute("aria-labelledby", id), newline, heading, newline}, parts...)...)
}
