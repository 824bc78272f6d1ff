// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/semver"

	"noderestriction.plus/e2e/project"
)

const (
	begin  = "<!-- begin: written by make compat -->\n"
	end    = "<!-- end: written by make compat -->\n"
	header = "\n| program | release | tests | result | date | command |\n|---|---|---|---|---|---|\n"
)

// row is a row of the table in docs/compatibility.md.
type row struct {
	component, release string
	tests              []string
	counts             counts
	date               time.Time
	command            string
}

func (r row) String() string {
	return fmt.Sprintf("| %s | %s | `%s` | %s | %s | `%s` |", r.component, strings.TrimPrefix(r.release, "v"),
		strings.Join(r.tests, "`, `"), r.counts, r.date.Format(time.DateOnly), r.command)
}

// writePage writes a row into the page.
func writePage(r row) error {
	root, err := project.Root()
	if err != nil {
		return err
	}
	path := filepath.Join(root, "docs", "compatibility.md")
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	changed, err := withRow(string(page), r.String())
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(changed), 0o644)
}

// withRow returns the page with a row in its table, which takes the place of that of the same minor version.
func withRow(page, row string) (string, error) {
	before, rest, begun := strings.Cut(page, begin)
	_, after, ended := strings.Cut(rest, end)
	if !begun || !ended {
		return "", fmt.Errorf("no part between %q and %q", begin, end)
	}
	rows := slices.DeleteFunc(rowsOf(page), func(other string) bool { return identity(other) == identity(row) })
	rows = append(rows, row)
	slices.SortFunc(rows, func(a, b string) int {
		if order := strings.Compare(cells(a)[0], cells(b)[0]); order != 0 {
			return order
		}
		return semver.Compare("v"+cells(a)[1], "v"+cells(b)[1])
	})
	return before + begin + header + strings.Join(rows, "\n") + "\n\n" + end + after, nil
}

// rowsOf returns the rows of the table in a page.
func rowsOf(page string) []string {
	_, rest, _ := strings.Cut(page, begin)
	part, _, _ := strings.Cut(rest, end)
	var rows []string
	for line := range strings.Lines(strings.TrimPrefix(part, header)) {
		if line = strings.TrimSpace(line); line != "" {
			rows = append(rows, line)
		}
	}
	return rows
}

// cells returns the cells of a row.
func cells(row string) []string {
	parts := strings.Split(strings.Trim(row, "| "), " | ")
	if len(parts) < 2 {
		return []string{row, ""}
	}
	return parts
}

// identity returns what identifies a row: the program and its minor version.
func identity(row string) string { return cells(row)[0] + " " + minor(cells(row)[1]) }
