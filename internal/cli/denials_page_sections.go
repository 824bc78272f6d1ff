package cli

import (
	"strconv"
	"time"

	"noderestriction.plus/internal/record"
	"noderestriction.plus/internal/recordlog"
)

// verdict says whether the log is complete.
func (d *pageData) verdict() part {
	mark := ""
	switch d.Verdict {
	case "good":
		mark = "✓ "
	case "bad":
		mark = "✗ "
	}
	var list, rest part
	if len(d.Problems) > 0 {
		list = element("ul", newline, each(d.Problems, func(problem string) part { return element("li", text(problem)) }))
	}
	if d.Rest > 0 {
		rest = paragraph(andMore(d.Rest))
	}
	return section("complete", mark+d.Summary, attribute("class", "verdict "+d.Verdict), lines(list, rest))
}

func andMore(n int) string { return "And " + strconv.Itoa(n) + " more." }

// when says how many records there are, and of which time.
func (d *pageData) when() part {
	totals := element("ul", attribute("class", "totals"), newline, each(d.Totals, func(total pageTotal) part {
		return element("li", key(total.Class), element("strong", number(total.Count)), text(" "+total.Label))
	}))
	if d.Chart == nil {
		return section("when", "When", lines(totals))
	}
	return section("when", "When", lines(totals, d.Chart.figure(), d.Chart.details(d.Totals)))
}

// key is a spot in the color of an action.
func key(class string) part { return element("span", attribute("class", "key "+class)) }

// section shows who or what has most records.
func (t pageTop) section() part {
	if len(t.Rows) == 0 {
		return section(t.ID, t.Title, lines(note("None.")))
	}
	table := element("table", attribute("aria-labelledby", t.ID), newline, lines(
		element("thead", element("tr", columnHeader(t.Heading), columnHeader("Records", attribute("class", "number")))),
		element("tbody", newline, each(t.Rows, pageTopRow.row)),
	))
	var rest part
	if t.Rest > 0 {
		rest = note(andMore(t.Rest))
	}
	return section(t.ID, t.Title, lines(table, rest))
}

func (r pageTopRow) row() part {
	share := element("svg",
		attribute("class", "share"), attribute("aria-hidden", "true"),
		attribute("viewBox", "0 0 100 1"), attribute("preserveAspectRatio", "none"),
		element("rect", attribute("width", r.Percent), attribute("height", "1")))
	return element("tr",
		rowHeader(r.Name, newline, share), newline, element("td", attribute("class", "number"), number(r.Count)))
}

// columnHeader is the head of a column of a table.
func columnHeader(title string, attributes ...part) part {
	return element("th", append([]part{attribute("scope", "col"), text(title)}, attributes...)...)
}

// rowHeader is the cell of a row that says of what the row is.
func rowHeader(title string, parts ...part) part {
	return element("th", append([]part{attribute("scope", "row"), text(title)}, parts...)...)
}

// records shows the records themselves, with a search that the script makes work.
func (d *pageData) records() part {
	if len(d.Rows) == 0 {
		return section("records", "Records, newest first", lines(note("None.")))
	}
	var left part
	if d.Left != "" {
		left = note(d.Left)
	}
	return section("records", "Records, newest first", lines(search(len(d.Rows)), left, recordTable(d.Rows)))
}

func search(rows int) part {
	return element("p", attribute("class", "search"), attribute("hidden", ""), lines(
		element("label", attribute("for", "search"), text("Show only rows with")),
		element("input",
			attribute("id", "search"), attribute("type", "search"), attribute("autocomplete", "off"),
			attribute("spellcheck", "false"), attribute("aria-describedby", "shown"), attribute("aria-controls", "rows")),
		element("output", attribute("id", "shown"), attribute("for", "search"), number(rows), text(" of "), number(rows)),
	))
}

// recordTable has roles because the style shows its rows as blocks on a narrow screen, where browsers forget that it is a table.
func recordTable(rows []*recordlog.Row) part {
	columns := []string{"Time (UTC)", "Action", "Node", "Write", "Object", "Violations", "Record"}
	header := each(columns, func(title string) part { return columnHeader(title, attribute("role", "columnheader")) })
	return element("table",
		attribute("id", "rows"), attribute("role", "table"), attribute("aria-labelledby", "records"), newline, lines(
			element("thead", attribute("role", "rowgroup"), element("tr", attribute("role", "row"), newline, header)),
			element("tbody", attribute("role", "rowgroup"), newline, each(rows, recordRow)),
		))
}

func recordRow(row *recordlog.Row) part {
	violations := func(v record.Violation) part {
		return element("div", element("b", text(v.Rule)), text(" of "+orDash(v.Policy)+": "+detail(row, v)))
	}
	return element("tr", attribute("role", "row"), lines(
		recordCell("Time", element("time", text(pageTime(time.Time(row.Time))))),
		recordCell("Action", key(string(row.Msg)), text(outcome(row))),
		recordCell("Node", text(row.Node)),
		recordCell("Write", text(write(row))),
		recordCell("Object", text(object(row))),
		recordCell("Violations", each(row.Violations, violations)),
		recordCell("Record", attribute("class", "id"), text(row.Boot+" "+strconv.FormatUint(row.Seq, 10)),
			element("br"), text(row.UID)),
	))
}

// recordCell is a cell with the label that it has on a narrow screen, where columns have no heads.
func recordCell(label string, parts ...part) part {
	return element("td", append([]part{attribute("role", "cell"), attribute("data-label", label)}, parts...)...)
}
