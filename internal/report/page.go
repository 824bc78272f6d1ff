// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"crypto/sha256"
	_ "embed" // for the style
	"encoding/base64"
	"html/template"

	"noderestriction.plus/internal/program"
)

//go:embed page.css
var style string

// Page is what the template of an HTML report needs, whatever it reports. The page needs no network and no script.
type Page struct {
	MadeBy        string
	Style         template.CSS
	ContentPolicy string // which allows the style, and nothing else
}

// NewPage returns a page with a style of its own in addition to the one that all reports have.
func NewPage(own string) Page {
	both := style + own
	sum := sha256.Sum256([]byte(both))
	return Page{
		MadeBy:        program.Plugin + " " + program.Version(),
		Style:         template.CSS(both), //nolint:gosec // They are embedded files.
		ContentPolicy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'",
	}
}
