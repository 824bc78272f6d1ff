// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/fixture"
	"noderestriction.plus/policy/rules"
)

func testCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "test PATH...",
		Short: "Run fixtures: a policy, a kubelet's write and the wanted verdict",
		Long: `Run fixtures: files that hold a policy, one write by a kubelet and the verdict that is wanted,
the exact message of a denial or the word allowed. Of a directory each *.txtar in it and below it is
run.

A fixture is a txtar archive. It begins with a sentence that says what it shows:

  A kubelet must not give its own Node a role.

  -- policy.yaml --
  nodes: {labels: {}}
  -- request.yaml --
  {nodeName: worker-1, resource: nodes, operation: UPDATE}
  -- old.yaml --
  metadata: {name: worker-1}
  -- new.yaml --
  metadata: {name: worker-1, labels: {example.com/tier: gold}}
  -- want --
  node "worker-1" violates NodeRestrictionPolicy "test": node labels (must not add "example.com/tier")

policy.yaml is the spec of a policy that is then named "test", or whole NodeRestrictionPolicies. At
CREATE there is no old.yaml, at DELETE no new.yaml. An optional facts.yaml holds the Nodes that
look-ups find.

Exit code: 0 all passed, 1 one failed, 2 usage, no fixture found, or a fixture is wrong in itself.`,
		Example: `  kubectl nrp test fixtures/
  kubectl nrp test -o junit fixtures/ > report.xml`,
		Args: command.AtLeastOne("a fixture or a directory of fixtures"),
	}
	output := command.AddOutput(cmd, command.FormatJUnit)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		files, err := fixtureFiles(args)
		if err != nil {
			return err
		}
		report := &testReport{Results: make([]testResult, 0, len(files))}
		for _, file := range files {
			result := runFixture(file)
			report.add(result)
			if output.String() == command.FormatText {
				if err := result.writeText(cmd.OutOrStdout()); err != nil {
					return err
				}
			}
		}
		if output.String() == command.FormatJUnit {
			err = report.writeJUnit(cmd.OutOrStdout())
		} else {
			err = output.Write(cmd.OutOrStdout(), report, report.writeSummary)
		}
		if err != nil {
			return err
		}
		return report.err()
	}
	return cmd
}

// fixtureFiles returns the files that the arguments name, of folders each *.txtar below them, in the order of their
// names.
func fixtureFiles(args []string) ([]string, error) {
	var files []string
	for _, arg := range args {
		found := 0
		err := filepath.WalkDir(arg, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() && (path == arg || filepath.Ext(path) == ".txtar") {
				found++
				if !slices.Contains(files, path) {
					files = append(files, path)
				}
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		if found == 0 {
			return nil, fmt.Errorf("%s: no fixture (*.txtar) found", arg)
		}
	}
	return files, nil
}

// testReport is what test prints.
type testReport struct {
	Passed  int          `json:"passed"`
	Failed  int          `json:"failed"`
	Wrong   int          `json:"wrong"` // fixtures that cannot be run
	Results []testResult `json:"results"`
}

// testResult is what came of one fixture.
type testResult struct {
	File    string `json:"file"`
	Comment string `json:"comment,omitempty"`
	Result  string `json:"result"`
	Want    string `json:"want,omitempty"`
	Got     string `json:"got,omitempty"`
	Error   string `json:"error,omitempty"`

	took time.Duration
}

// Results of a fixture.
const (
	passed = "pass"
	failed = "fail"
	wrong  = "wrong"
)

func runFixture(file string) testResult {
	start := time.Now()
	result := testResult{File: file, Result: wrong}
	if err := result.run(); err != nil {
		result.Error = err.Error()
	}
	result.took = time.Since(start)
	return result
}

func (r *testResult) run() error {
	data, err := os.ReadFile(r.File)
	if err != nil {
		return err
	}
	f, err := fixture.Parse(data)
	if err != nil {
		return err
	}
	r.Comment, r.Want = f.Comment, f.Want
	if f.Want == "" {
		return errors.New("want: missing")
	}
	if r.Got, err = f.Run(rules.NewCompiler()); err != nil {
		return err
	}
	r.Result = passed
	if r.Got != r.Want {
		r.Result = failed
	}
	return nil
}

func (r *testResult) writeText(w io.Writer) error {
	var err error
	switch r.Result {
	case passed:
		_, err = fmt.Fprintf(w, "PASS  %s\n", r.File)
	case failed:
		_, err = fmt.Fprintf(w, "FAIL  %s\n      %s\n      - want: %s\n      + got:  %s\n", r.File, r.Comment, r.Want, r.Got)
	default:
		_, err = fmt.Fprintf(w, "WRONG %s\n      %s\n", r.File, r.Error)
	}
	return err
}

func (r *testReport) add(result testResult) {
	r.Results = append(r.Results, result)
	switch result.Result {
	case passed:
		r.Passed++
	case failed:
		r.Failed++
	default:
		r.Wrong++
	}
}

func (r *testReport) writeSummary(w io.Writer) error {
	summary := fmt.Sprintf("%d passed, %d failed", r.Passed, r.Failed)
	if r.Wrong > 0 {
		summary += fmt.Sprintf(", %d wrong", r.Wrong)
	}
	_, err := fmt.Fprintln(w, summary)
	return err
}

func (r *testReport) err() error {
	switch {
	case r.Wrong > 0:
		return fmt.Errorf("%d of %d fixtures cannot be run", r.Wrong, len(r.Results))
	case r.Failed > 0:
		return command.No("%d of %d fixtures failed", r.Failed, len(r.Results))
	}
	return nil
}
