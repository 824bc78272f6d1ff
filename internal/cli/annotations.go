// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"io"
	"net/url"
	"path/filepath"
	"strings"

	"noderestriction.plus/internal/program"
)

// each calls report for every problem in the order in which it is printed, with its level in the words of SARIF and GitHub.
func (r *checkReport) each(report func(level string, policy *checkedPolicy, p *problem)) {
	for i := range r.Items {
		policy := &r.Items[i]
		for j := range policy.Errors {
			report("error", policy, &policy.Errors[j])
		}
		for j := range policy.Warnings {
			report("warning", policy, &policy.Warnings[j])
		}
	}
	for i := range r.Unreadable {
		report("error", nil, &r.Unreadable[i])
	}
}

// writeGitHub writes workflow commands, from which GitHub Actions makes annotations of a pull request.
func (r *checkReport) writeGitHub(w io.Writer) error {
	out := &errWriter{w: w}
	inMessage := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	inProperty := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	r.each(func(level string, policy *checkedPolicy, p *problem) {
		title := "Unreadable"
		if policy != nil {
			title = policy.title
		}
		out.printf("::%s ", level)
		if p.File != "" {
			out.printf("file=%s,", inProperty.Replace(filepath.ToSlash(p.File)))
		}
		if p.Line > 0 {
			out.printf("line=%d,", p.Line)
		}
		if p.Column > 0 {
			out.printf("col=%d,", p.Column)
		}
		out.printf("title=%s::%s\n", inProperty.Replace(title), inMessage.Replace(p.text))
	})
	return out.err
}

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
		Results    []sarifResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"version"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID          string    `json:"id"`
		Description sarifText `json:"shortDescription"`
	}
	sarifResult struct {
		RuleID    string          `json:"ruleId"`
		Level     string          `json:"level"`
		Message   sarifText       `json:"message"`
		Locations []sarifLocation `json:"locations,omitempty"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifLocation struct {
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

// writeSARIF writes one run with a result for each problem.
func (r *checkReport) writeSARIF(w io.Writer) error {
	run := sarifRun{
		Tool: sarifTool{sarifDriver{Name: program.Plugin, Version: program.Version(), Rules: []sarifRule{
			{"policy-error", sarifText{"The policy is not valid, or cannot be read"}},
			{"policy-warning", sarifText{"The policy is valid, but probably a mistake"}},
		}}},
		ColumnKind: "unicodeCodePoints", Results: []sarifResult{},
	}
	r.each(func(level string, _ *checkedPolicy, p *problem) {
		result := sarifResult{RuleID: "policy-" + level, Level: level, Message: sarifText{p.text}}
		if p.File != "" {
			location := sarifPhysical{Artifact: sarifArtifact{(&url.URL{Path: filepath.ToSlash(p.File)}).String()}}
			if p.Line > 0 {
				location.Region = &sarifRegion{p.Line, p.Column}
			}
			result.Locations = []sarifLocation{{location}}
		}
		run.Results = append(run.Results, result)
	})
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(sarifLog{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}})
}
