// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/manifest"
)

// Output formats of check beside those of others.
const (
	formatSARIF  = "sarif"
	formatGitHub = "github"
)

func checkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check FILE...",
		Short: "Check policies: report every error with its line",
		Long: `Check whether policies are valid. Every error is reported with its line, its field and often a
hint about what may have been meant. Warnings are about what is valid but probably a mistake.
A FILE holds NodeRestrictionPolicies in YAML or JSON, also among objects of other kinds, which
are counted and skipped. It may be compressed with gzip; - is standard input. In a directory
and below it, each *.yaml, *.yml and *.json is read.

Exit code: 0 all are valid, 1 one is not, 2 usage, or a file cannot be read.`,
		Example: `  kubectl nrp check policy.yaml
  kubectl get nrp -o yaml | kubectl nrp check -
  kubectl nrp check -o github clusters/`,
		Args: command.AtLeastOne("a file or a directory with policies, or - for standard input"),
	}
	output := command.AddOutput(cmd, command.FormatJUnit, formatSARIF, formatGitHub)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		report := newCheckReport(readPolicies(&command.Inputs{Stdin: cmd.InOrStdin()}, args))
		if err := report.write(cmd.OutOrStdout(), output); err != nil {
			return err
		}
		return report.err()
	}
	return cmd
}

// checkReport is what check prints.
type checkReport struct {
	command.List[checkedPolicy]
	Unreadable []problem `json:"unreadable,omitempty"`
	Skipped    int       `json:"skipped,omitempty"` // objects of other kinds
}

type checkedPolicy struct {
	File     string    `json:"file"`
	Line     int       `json:"line,omitempty"`
	Name     string    `json:"name"`
	Valid    bool      `json:"valid"`
	Errors   []problem `json:"errors,omitempty"`
	Warnings []problem `json:"warnings,omitempty"`

	title string
}

// problem is something that is wrong in a file.
type problem struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Field   string `json:"field,omitempty"` // path, such as spec.match.nodeNames[0]
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`

	place, text string
}

func newProblem(file string, p *manifest.Problem) problem {
	return problem{
		File: command.Title(file), Line: p.Line, Column: p.Column, Field: p.Field, Message: p.Message, Hint: p.Hint,
		place: place(file, p), text: p.String(),
	}
}

func newCheckReport(files []*policyFile) *checkReport {
	report := &checkReport{List: command.NewList[checkedPolicy]("PolicyCheckList", nil)}
	for _, f := range files {
		report.Skipped += f.Others
		if f.unreadable != nil {
			report.Unreadable = append(report.Unreadable, problem{Message: f.unreadable.Error(), text: f.unreadable.Error()})
		}
		for i := range f.Errors {
			report.Unreadable = append(report.Unreadable, newProblem(f.name, &f.Errors[i]))
		}
		for _, p := range f.Policies {
			checked := checkedPolicy{
				File: command.Title(f.name), Line: p.Line, Name: p.Object.Name, Valid: len(p.Errors) == 0, title: titleOf(p),
			}
			for i := range p.Errors {
				checked.Errors = append(checked.Errors, newProblem(f.name, &p.Errors[i]))
			}
			for i := range p.Warnings {
				checked.Warnings = append(checked.Warnings, newProblem(f.name, &p.Warnings[i]))
			}
			report.Items = append(report.Items, checked)
		}
	}
	return report
}

func (r *checkReport) write(w io.Writer, output *command.Output) error {
	switch output.String() {
	case command.FormatJUnit:
		return r.writeJUnit(w)
	case formatSARIF:
		return r.writeSARIF(w)
	case formatGitHub:
		return r.writeGitHub(w)
	}
	return output.Write(w, r, r.writeText)
}

func (r *checkReport) writeText(w io.Writer) error {
	out := &errWriter{w: w}
	for i := range r.Items {
		p := &r.Items[i]
		for i := range p.Errors {
			out.printf("%s: %s: error: %s\n", p.Errors[i].place, p.title, p.Errors[i].text)
		}
		for i := range p.Warnings {
			out.printf("%s: %s: warning: %s\n", p.Warnings[i].place, p.title, p.Warnings[i].text)
		}
		if p.Valid {
			out.printf("%s: %s: valid\n", p.File, p.title)
		}
	}
	if r.Skipped > 0 {
		out.printf("skipped: %s of other kinds\n", plural(r.Skipped, "object"))
	}
	return out.err
}

// err is the error of the command: what could not be read, or else how many policies are not valid.
func (r *checkReport) err() error {
	var unreadable []error
	for i := range r.Unreadable {
		text := r.Unreadable[i].text
		if at := r.Unreadable[i].place; at != "" {
			text = at + ": " + text
		}
		unreadable = append(unreadable, errors.New(text))
	}
	if len(unreadable) > 0 {
		return errors.Join(unreadable...)
	}
	if invalid := r.invalid(); invalid > 0 {
		return command.No("%d of %d policies not valid", invalid, len(r.Items))
	}
	return nil
}

// invalid is how many policies are not valid.
func (r *checkReport) invalid() int {
	n := 0
	for i := range r.Items {
		if !r.Items[i].Valid {
			n++
		}
	}
	return n
}

// errWriter writes until an error occurs, and keeps that.
type errWriter struct {
	w   io.Writer
	err error
}

func (w *errWriter) printf(format string, args ...any) {
	if w.err == nil {
		_, w.err = fmt.Fprintf(w.w, format, args...)
	}
}
