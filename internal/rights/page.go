// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rights

import (
	_ "embed" // for the templates and the style
	"html/template"
	"io"
	"slices"
	"time"

	"noderestriction.plus/internal/report"
)

//go:embed page.html.tmpl
var pageSource string

//go:embed usage.html.tmpl
var usageSource string

//go:embed page.css
var pageStyle string

// maxRows bounds the rows of the matrix.
const maxRows = 3000

// row is a row of the matrix: a resource and objects of it.
type row struct {
	Resource, Scope string
	Cells           [][]*Right // by verb, in the order of the columns
}

// matrix returns the columns and the rows of the matrix.
func (r *Report) matrix() (columns []string, rows []*row) {
	columns = append(verbs(), "other")
	index := map[[2]string]*row{}
	for i := range r.Items {
		item := &r.Items[i]
		resource := item.Resource
		if item.Path != "" {
			resource = item.Path
		}
		key := [2]string{resource, item.scope()}
		found := index[key]
		if found == nil {
			if len(rows) >= maxRows {
				continue
			}
			found = &row{Resource: key[0], Scope: key[1], Cells: make([][]*Right, len(columns))}
			index[key] = found
			rows = append(rows, found)
		}
		column := verbOrder(item.Verb)
		found.Cells[column] = append(found.Cells[column], item)
	}
	return columns, rows
}

// classes are all classes, the worst first.
func classes() []Class {
	return []Class{Widened, Missing, Unknown, Accepted, Known, Narrowed, Intended, Untried, Refused}
}

// writeHTML writes a page that needs no network and no script. html/template escapes whatever the API server has said.
func (r *Report) writeHTML(w io.Writer) error {
	t, err := template.New("page").Funcs(template.FuncMap{
		"clock": func(t *time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") },
		"cause": func(r *Right) string { return r.cause() },
		"scope": func(r *Right) string { return r.scope() },
	}).Parse(pageSource)
	if err != nil {
		return err
	}
	columns, rows := r.matrix()
	beyond := slices.Concat(r.of(Widened), r.of(Missing), r.of(Unknown), r.of(Accepted), r.of(Known))
	return t.Execute(w, struct {
		*Report
		report.Page
		Head    []string
		Beyond  []*Right
		Columns []string
		Rows    []*row
		Classes []Class
	}{r, report.NewPage(pageStyle), r.head(), beyond, columns, rows, classes()})
}

// writeHTML writes the uses as a page like that of a report.
func (u *Usage) writeHTML(w io.Writer) error {
	t, err := template.New("usage").Funcs(template.FuncMap{
		"clock": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") },
	}).Parse(usageSource)
	if err != nil {
		return err
	}
	return t.Execute(w, struct {
		*Usage
		report.Page
	}{u, report.NewPage(pageStyle)})
}
