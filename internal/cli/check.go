// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"noderestriction.plus/internal/command"
	"noderestriction.plus/policy/rules"
)

func checkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check FILE...",
		Short: "Say whether policies are valid",
		Long: `Say whether policies are valid, with every error and its field path, and warn of what is
valid but probably not meant. A FILE holds one or several NodeRestrictionPolicies in YAML or
JSON; - is standard input; of a folder its *.yaml, *.yml and *.json are read.

Exit code: 0 all are valid, 1 one is not, 2 usage, or a file cannot be read.`,
		Example: `  kubectl nrp check policy.yaml
  kubectl get nrp -o yaml | kubectl nrp check -`,
		Args: command.AtLeastOne("a file or a folder with policies, or - for standard input"),
	}
	output := command.AddOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		report := checkFiles(&command.Inputs{Stdin: cmd.InOrStdin()}, args)
		if err := output.Write(cmd.OutOrStdout(), report, report.writeText); err != nil {
			return err
		}
		return report.err()
	}
	return cmd
}

// checkReport is what check prints.
type checkReport struct {
	Policies   []checkedPolicy  `json:"policies"`
	Unreadable []unreadableFile `json:"unreadable,omitempty"`
}

type checkedPolicy struct {
	File     string    `json:"file"`
	Name     string    `json:"name"`
	Valid    bool      `json:"valid"`
	Errors   []problem `json:"errors,omitempty"`
	Warnings []string  `json:"warnings,omitempty"`

	title string
}

type unreadableFile struct {
	File  string `json:"file"`
	Error string `json:"error"`
}

func checkFiles(in *command.Inputs, args []string) *checkReport {
	report := &checkReport{Policies: []checkedPolicy{}}
	for _, arg := range args {
		files, err := policyFiles(arg)
		if err != nil {
			report.Unreadable = append(report.Unreadable, unreadableFile{command.Title(arg), err.Error()})
		}
		for _, file := range files {
			objects, err := readPolicies(in, file)
			if err != nil {
				report.Unreadable = append(report.Unreadable, unreadableFile{command.Title(file), err.Error()})
			}
			for _, o := range objects {
				report.Policies = append(report.Policies, checkPolicy(o))
			}
		}
	}
	return report
}

func checkPolicy(o *policyObject) checkedPolicy {
	checked := checkedPolicy{
		File: command.Title(o.file), Name: o.policy.Name, Valid: len(o.problems) == 0, Errors: o.problems, title: o.title(),
	}
	if o.compiled != nil {
		checked.Warnings = rules.NewCompiler().Warnings(o.policy)
	}
	return checked
}

// policyFiles returns the files that an argument names: itself, or what a folder holds of them.
func policyFiles(arg string) ([]string, error) {
	if info, err := os.Stat(arg); arg == command.StandardInput || err != nil || !info.IsDir() {
		return []string{arg}, nil //nolint:nilerr // The error comes again when the file is read.
	}
	entries, err := os.ReadDir(arg)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, entry := range entries {
		if slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(entry.Name())) && !entry.IsDir() {
			files = append(files, filepath.Join(arg, entry.Name()))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: no *.yaml, *.yml or *.json in this folder", arg)
	}
	return files, nil
}

func (r *checkReport) writeText(w io.Writer) error {
	for _, p := range r.Policies {
		for _, e := range p.Errors {
			if _, err := fmt.Fprintf(w, "%s: error: %s\n", p.title, e); err != nil {
				return err
			}
		}
		for _, warning := range p.Warnings {
			if _, err := fmt.Fprintf(w, "%s: warning: %s\n", p.title, warning); err != nil {
				return err
			}
		}
		if p.Valid {
			if _, err := fmt.Fprintf(w, "%s: valid\n", p.title); err != nil {
				return err
			}
		}
	}
	return nil
}

// err is the error of the command: what could not be read, or else how many policies are not valid.
func (r *checkReport) err() error {
	var unreadable []error
	for _, file := range r.Unreadable {
		unreadable = append(unreadable, errors.New(file.Error))
	}
	if len(unreadable) > 0 {
		return errors.Join(unreadable...)
	}
	invalid := 0
	for _, p := range r.Policies {
		if !p.Valid {
			invalid++
		}
	}
	if invalid > 0 {
		return command.No("%d of %d policies not valid", invalid, len(r.Policies))
	}
	return nil
}
