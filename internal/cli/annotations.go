// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"io"
	"path/filepath"
	"strings"

	"noderestriction.plus/internal/report"
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

// writeSARIF writes one run with a result for each problem.
func (r *checkReport) writeSARIF(w io.Writer) error {
	var results []report.SARIFResult
	r.each(func(level string, _ *checkedPolicy, p *problem) {
		result := report.SARIFResult{RuleID: "policy-" + level, Level: level, Message: report.SARIFText{Text: p.text}}
		if p.File != "" {
			result.Locations = []report.SARIFLocation{report.NewSARIFLocation(p.File, p.Line, p.Column)}
		}
		results = append(results, result)
	})
	return report.WriteSARIF(w, []report.SARIFRule{
		{ID: "policy-error", Description: report.SARIFText{Text: "The policy is not valid, or cannot be read"}},
		{ID: "policy-warning", Description: report.SARIFText{Text: "The policy is valid, but probably a mistake"}},
	}, results)
}
