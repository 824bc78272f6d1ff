// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package text

// Cells makes the cells of a row of CSV safe, in place, and returns them: one that a spreadsheet would take for a formula gets an
// apostrophe before it, with which spreadsheets mark text.
func Cells(row ...string) []string {
	for i, cell := range row {
		if cell == "" {
			continue
		}
		switch cell[0] {
		case '=', '+', '-', '@', '\t', '\r':
			row[i] = "'" + cell
		}
	}
	return row
}
