package cli

import "strconv"

// figure is the chart as a drawing.
func (c *chart) figure() part {
	y := element("div", attribute("class", "y"), attribute("aria-hidden", "true"),
		element("span", text(c.Max)), element("span", text(c.Half)), element("span", text("0")))
	x := element("div", attribute("class", "x"), attribute("aria-hidden", "true"),
		element("span", text(c.Start)), element("span", text(c.Until)))
	return element("figure", newline, lines(
		element("div", attribute("class", "plot"), newline, lines(y, c.drawing(), x)),
		element("figcaption", text("Records per "+c.Step+", UTC")),
	))
}

func (c *chart) drawing() part {
	width := strconv.Itoa(c.Width)
	grid := func(y string) part {
		return element("line",
			attribute("class", "grid"), attribute("x1", "0"), attribute("x2", width), attribute("y1", y), attribute("y2", y))
	}
	return element("svg",
		attribute("role", "img"), attribute("aria-label", c.Title),
		attribute("viewBox", "0 0 "+width+" 100"), attribute("preserveAspectRatio", "none"), newline,
		lines(grid("0"), grid("50"), grid("100")), each(c.Bars, bar.drawing))
}

// drawing is a bar, which is one segment on the other, and the area in which a pointer shows its title.
func (b bar) drawing() part {
	parts := []part{
		element("title", text(b.Title)),
		rectangle("hit", b.X, "0", "10", "100"),
	}
	for _, s := range b.Segments {
		parts = append(parts, rectangle(s.Class, b.X, s.Y, "8.5", s.Height))
	}
	return element("g", parts...)
}

func rectangle(class string, x int, y, width, height string) part {
	return element("rect",
		attribute("class", class), attribute("x", strconv.Itoa(x)), attribute("y", y),
		attribute("width", width), attribute("height", height))
}

// details is the chart as a table, for those who cannot see it.
func (c *chart) details(totals []pageTotal) part {
	header := []part{columnHeader("From (UTC)")}
	for _, total := range totals {
		header = append(header, columnHeader(total.Label, attribute("class", "number")))
	}
	row := func(b bar) part {
		cells := []part{rowHeader(b.From)}
		for n := range totals {
			cells = append(cells, element("td", attribute("class", "number"), number(b.Counts[n])))
		}
		return element("tr", cells...)
	}
	return element("details", newline, lines(
		element("summary", text("The same as a table")),
		element("table", newline, lines(
			element("caption", text("Records per "+c.Step)),
			element("thead", element("tr", header...)),
			element("tbody", newline, each(c.Bars, row)),
		)),
	))
}
