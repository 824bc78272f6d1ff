// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package report writes reports in the formats that CI systems and code scanners read: SARIF and JUnit.
package report

import (
	"encoding/json"
	"io"
	"net/url"
	"path/filepath"

	"noderestriction.plus/internal/program"
)

// The part of SARIF 2.1.0 that code scanners read.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool       sarifTool     `json:"tool"`
		ColumnKind string        `json:"columnKind"`
		Results    []SARIFResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"version"`
		Rules   []SARIFRule `json:"rules"`
	}
	// SARIFRule is a rule of the tool, in the words of SARIF.
	SARIFRule struct {
		ID          string    `json:"id"`
		Description SARIFText `json:"shortDescription"`
	}
	// SARIFResult is a finding.
	SARIFResult struct {
		RuleID    string          `json:"ruleId"`
		Kind      string          `json:"kind,omitempty"` // omitted: fail
		Level     string          `json:"level"`
		Message   SARIFText       `json:"message"`
		Locations []SARIFLocation `json:"locations,omitempty"`
	}
	// SARIFText is a text.
	SARIFText struct {
		Text string `json:"text"`
	}
	// SARIFLocation is a place in a file.
	SARIFLocation struct {
		Physical sarifPhysical `json:"physicalLocation"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   *sarifRegion  `json:"region,omitempty"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		Line   int `json:"startLine"`
		Column int `json:"startColumn,omitempty"`
	}
)

// NewSARIFLocation returns the location of a file. Without a line it is the whole file.
func NewSARIFLocation(file string, line, column int) SARIFLocation {
	location := sarifPhysical{Artifact: sarifArtifact{(&url.URL{Path: filepath.ToSlash(file)}).String()}}
	if line > 0 {
		location.Region = &sarifRegion{line, column}
	}
	return SARIFLocation{location}
}

// WriteSARIF writes one run of the command-line tool.
func WriteSARIF(w io.Writer, rules []SARIFRule, results []SARIFResult) error {
	if results == nil {
		results = []SARIFResult{}
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(sarifLog{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{{
		Tool:       sarifTool{sarifDriver{Name: program.Plugin, Version: program.Version(), Rules: rules}},
		ColumnKind: "unicodeCodePoints", Results: results,
	}}})
}
