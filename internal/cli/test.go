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
	"noderestriction.plus/internal/manifest"
	"noderestriction.plus/internal/review"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

// testHelp is the long help of test. Its fixture is tested.
const testHelp = `Run fixtures: files that hold a policy, one write by a kubelet and the wanted verdict. In a
directory and below it, each *.txtar is run.

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
  denied by node-labels

The wanted verdict is the exact message of a denial, or one of these: allowed; denied; warned;
audited; denied by node-labels, node-taints (and the same with warned and audited). A write that
is warned about or audited is allowed, too.

policy.yaml is the spec of a policy that is then named "test", or whole NodeRestrictionPolicies.
With --policy, your own policies are tested instead, and policy.yaml may be omitted. At CREATE
there is no old.yaml, at DELETE no new.yaml. An optional facts.yaml holds the objects that
lookups find, such as Nodes.

With --want, each FILE holds recorded AdmissionReviews, and each of their writes must have that
verdict.

Exit code: 0 all passed, 1 one failed, 2 usage, no fixture found, or a fixture is wrong in itself.`

func testCommand() *cobra.Command {
	o := testOptions{compiler: rules.NewCompiler()}
	cmd := &cobra.Command{
		Use:                   "test [--policy FILE]... [--write] PATH... | test --policy FILE... --want VERDICT FILE...",
		DisableFlagsInUseLine: true,
		Short:                 "Run fixtures: a policy, a kubelet's write and the wanted verdict",
		Long:                  testHelp,
		Example: `  kubectl nrp test fixtures/
  kubectl nrp test --policy workers.yaml fixtures/
  kubectl nrp test --policy workers.yaml --want allowed registrations.json
  kubectl nrp test -o junit fixtures/ > report.xml`,
		Args: command.AtLeastOne("a fixture or a directory of fixtures"),
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&o.policies, "policy", nil, policyFlag+"; used in place of policy.yaml")
	flags.StringVar((*string)(&o.want), "want", "", "the `verdict` that each write of recorded AdmissionReviews must have")
	flags.StringVar(&o.context, "context", "", "with --want: `file` with the objects that lookups find (Nodes)")
	flags.BoolVar(&o.rewrite, "write", false, "write the actual verdicts into the fixtures that fail")
	output := command.AddOutput(cmd, command.FormatJUnit)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		report := &testReport{Envelope: command.Envelope{APIVersion: command.APIVersion, Kind: "TestResultList"}, Items: []testResult{}}
		text := output.String() == command.FormatText
		err := o.run(&command.Inputs{Stdin: cmd.InOrStdin()}, args, func(result testResult) error {
			report.add(result)
			if !text {
				return nil
			}
			return result.writeText(cmd.OutOrStdout())
		})
		if err != nil {
			return err
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

type testOptions struct {
	compiler *policy.Compiler
	policies []string
	want     fixture.Want
	context  string
	rewrite  bool
}

// run runs the fixtures or recorded writes that the arguments name, and reports each result.
func (o *testOptions) run(in *command.Inputs, args []string, report func(testResult) error) error {
	switch {
	case o.want == "" && o.context != "":
		return command.Usagef("--context: is for --want; a fixture has facts.yaml")
	case o.want != "" && len(o.policies) == 0:
		return command.Usagef("--want: name the policies with --policy")
	case o.want != "" && o.rewrite:
		return command.Usagef("--write: is for fixtures, not for --want")
	}
	if err := o.want.Check(o.compiler); err != nil {
		return command.Usagef("--want: %w", err)
	}
	var set *policy.Set
	if len(o.policies) > 0 {
		loaded, err := loadPolicies(in, o.policies)
		if err != nil {
			return err
		}
		set = newSet(loaded)
	}
	if o.want != "" {
		return o.runRecorded(in, args, set, report)
	}
	files, err := fixtureFiles(args)
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := report(o.runFixture(file, set)); err != nil {
			return err
		}
	}
	return nil
}

// newSet returns the set of policies that have been read.
func newSet(loaded []*manifest.Policy) *policy.Set {
	compiled := make([]*policy.Policy, len(loaded))
	for i, p := range loaded {
		compiled[i] = p.Compiled
	}
	return policy.NewSet(compiled...)
}

// fixtureFiles returns the files that the arguments name, of directories each *.txtar below them, in the order of their names.
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
	command.Envelope
	Passed int          `json:"passed"`
	Failed int          `json:"failed"`
	Wrong  int          `json:"wrong"` // fixtures that cannot be run
	Items  []testResult `json:"items"`
}

// testResult is the result of one fixture or one recorded write.
type testResult struct {
	File     string `json:"file"`
	Document int    `json:"document,omitempty"` // of a recorded write, from 1
	Comment  string `json:"comment,omitempty"`
	Result   string `json:"result"`
	Want     string `json:"want,omitempty"`
	Got      string `json:"got,omitempty"`
	Error    string `json:"error,omitempty"`
	Written  bool   `json:"written,omitempty"` // the fixture has got the actual verdict

	took time.Duration
}

// Results of a fixture.
const (
	passed = "pass"
	failed = "fail"
	wrong  = "wrong"
)

// runFixture runs a fixture with its own policies, or with those of set.
func (o *testOptions) runFixture(file string, set *policy.Set) testResult {
	start := time.Now()
	result := testResult{File: file, Result: wrong}
	if err := o.runInto(&result, set); err != nil {
		result.Error = err.Error()
	}
	result.took = time.Since(start)
	return result
}

func (o *testOptions) runInto(r *testResult, set *policy.Set) error {
	data, err := os.ReadFile(r.File)
	if err != nil {
		return err
	}
	f, err := fixture.Parse(data)
	if err != nil {
		return err
	}
	r.Comment, r.Want = f.Comment, f.Want
	want := fixture.Want(f.Want)
	if f.Want == "" && !o.rewrite {
		return errors.New("want: missing")
	}
	if err := want.Check(o.compiler); err != nil {
		return fmt.Errorf("want: %w", err)
	}
	if set == nil {
		compiled, err := f.Compile(o.compiler)
		if err != nil {
			return err
		}
		set = policy.NewSet(compiled...)
	}
	d, err := f.Evaluate(set)
	if err != nil {
		return err
	}
	r.set(want, d)
	if r.Result == failed && o.rewrite {
		info, err := os.Stat(r.File)
		if err != nil {
			return err
		}
		r.Written, r.Result = true, passed
		return os.WriteFile(r.File, f.WithWant(r.Got), info.Mode().Perm()) //nolint:gosec // The user names the file to rewrite.
	}
	return nil
}

// set compares a decision with the wanted verdict.
func (r *testResult) set(want fixture.Want, d policy.Decision) {
	r.Result = failed
	if want.Matches(d) {
		r.Result = passed
	}
	r.Got = fixture.Got(d)
}

// runRecorded evaluates recorded AdmissionReviews, and compares each with the wanted verdict.
func (o *testOptions) runRecorded(in *command.Inputs, files []string, set *policy.Set, report func(testResult) error) error {
	facts, err := readFacts(in, o.context)
	if err != nil {
		return err
	}
	return eachReview(in, files, func(file string, doc *manifest.Document, r *review.Review) error {
		start := time.Now()
		result := testResult{File: command.Title(file), Document: doc.Number, Result: wrong, Want: string(o.want)}
		verdict := r.Evaluate(set, facts)
		if verdict.Err != nil {
			result.Error = verdict.Err.Error()
		} else {
			result.set(o.want, verdict.Decision)
		}
		result.took = time.Since(start)
		return report(result)
	})
}

// title is how a text names a fixture or a recorded write.
func (r *testResult) title() string {
	if r.Document == 0 {
		return r.File
	}
	return fmt.Sprintf("%s: document %d", r.File, r.Document)
}

func (r *testResult) writeText(w io.Writer) error {
	out := &errWriter{w: w}
	switch {
	case r.Written:
		out.printf("WRITE %s\n      %s\n", r.title(), r.Got)
	case r.Result == passed:
		out.printf("PASS  %s\n", r.title())
	case r.Result == failed:
		out.printf("FAIL  %s\n", r.title())
		if r.Comment != "" {
			out.printf("      %s\n", r.Comment)
		}
		out.printf("      - want: %s\n      + got:  %s\n", r.Want, r.Got)
	default:
		out.printf("WRONG %s\n      %s\n", r.title(), r.Error)
	}
	return out.err
}

func (r *testReport) add(result testResult) {
	r.Items = append(r.Items, result)
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
	noun := "fixtures"
	if len(r.Items) > 0 && r.Items[0].Document > 0 {
		noun = "writes"
	}
	switch {
	case r.Wrong > 0:
		return fmt.Errorf("%d of %d %s cannot be run", r.Wrong, len(r.Items), noun)
	case r.Failed > 0:
		return command.No("%d of %d %s failed", r.Failed, len(r.Items), noun)
	case len(r.Items) == 0:
		return errors.New("no recorded write found")
	}
	return nil
}
