// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/manifest"
	"noderestriction.plus/internal/program"
	"noderestriction.plus/internal/review"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
)

// failOn are the outcomes that --fail-on takes, weakest first.
func failOn() []string {
	return []string{string(policy.Audited), string(policy.Warned), string(policy.Denied)}
}

func reviewCommand() *cobra.Command {
	o := reviewOptions{output: command.NewOutput(command.FormatJSON, command.FormatText)}
	cmd := &cobra.Command{
		Use:                   "review --policy FILE... [--context FILE] [--records FILE] [--fail-on OUTCOME] [FILE... | -]",
		DisableFlagsInUseLine: true,
		Short:                 "Evaluate AdmissionReviews as the webhook would",
		Long: `Evaluate AdmissionReviews (admission.k8s.io/v1) as the webhook would, without a cluster. Each FILE,
or standard input without one, holds any number of them: in JSON, concatenated or one on each
line, or in YAML. For each, an AdmissionReview with the response is written on a line of standard
output, in the same order and as soon as it is evaluated; with -o text, a line for people. All
other clients than kubelets are allowed everything.

A FILE is read to its end or to the first document that is not an AdmissionReview. The answers
before that stay written.

Exit code: 0 whatever the verdicts; 1 with --fail-on, if a write has this or a stronger outcome;
2 usage, or a policy, a file or a document that cannot be read.`,
		Example: `  kubectl nrp review --policy recommended.yaml -o text reviews.json
  kubectl nrp review --policy recommended.yaml --fail-on denied reviews.json > responses.json
  kubectl nrp review --policy a.yaml --policy b.yaml --context nodes.yaml < reviews.json |
    jq -r 'select(.response.allowed | not) | .response.status.message'`,
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&o.policies, "policy", nil, policyFlag)
	flags.StringVar(&o.context, "context", "",
		"`file` with the objects that lookups find (Nodes), as a v1 List or as documents")
	flags.StringVar(&o.records, "records", "",
		"`file` for the records that the webhook would have logged, overwritten;\nnot -, where the responses go")
	flags.StringVar(&o.failOn, "fail-on", "", "exit with 1 for an `outcome` as strong as this: audited, warned or denied")
	command.Complete(cmd, "fail-on", failOn())
	o.output.AddTo(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			args = []string{command.StandardInput}
		}
		return o.run(args, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
	}
	return cmd
}

type reviewOptions struct {
	policies                 []string
	context, records, failOn string
	output                   *command.Output
}

func (o *reviewOptions) run(files []string, stdin io.Reader, stdout, stderr io.Writer) error {
	switch {
	case len(o.policies) == 0:
		return command.Usagef("--policy: name a file with policies")
	case o.records == command.StandardInput:
		return command.Usagef("--records: must be a file, because the responses go to standard output")
	case o.failOn != "" && !slices.Contains(failOn(), o.failOn):
		return command.Usagef("--fail-on: must be one of %s", strings.Join(failOn(), ", "))
	}
	in := &command.Inputs{Stdin: stdin}
	e := &evaluator{
		stdout: bufio.NewWriter(stdout), stderr: stderr, text: o.output.String() == command.FormatText, outcomes: map[policy.Outcome]int{},
	}
	loaded, err := loadPolicies(in, o.policies)
	if err != nil {
		return err
	}
	e.set = newSet(loaded)
	if e.facts, err = readFacts(in, o.context); err != nil {
		return err
	}
	if o.records != "" {
		if e.records, err = createRecords(o.records); err != nil {
			return err
		}
	}
	err = eachReview(in, files, e.evaluate)
	if e.records != nil {
		err = errors.Join(err, e.records.close())
	}
	if err != nil {
		return err
	}
	return o.failure(e.outcomes)
}

// failure is the error for --fail-on, if a write has an outcome as strong as that.
func (o *reviewOptions) failure(outcomes map[policy.Outcome]int) error {
	from := slices.Index(failOn(), o.failOn)
	if from < 0 {
		return nil
	}
	var counts []string
	for _, outcome := range slices.Backward(failOn()[from:]) {
		if n := outcomes[policy.Outcome(outcome)]; n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", n, outcome))
		}
	}
	if len(counts) == 0 {
		return nil
	}
	return command.No("%s", strings.Join(counts, ", "))
}

// readFacts reads the objects that lookups find. Without a file no object exists.
func readFacts(in *command.Inputs, file string) (policy.Facts, error) {
	if file == "" {
		return policy.StaticFacts{}, nil
	}
	data, err := in.Read(file)
	if err != nil {
		return nil, err
	}
	facts, err := manifest.Facts(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", command.Title(file), err)
	}
	return facts, nil
}

// eachReview calls use for every AdmissionReview of the files.
func eachReview(in *command.Inputs, files []string, use func(file string, doc *manifest.Document, r *review.Review) error) error {
	for _, file := range files {
		if err := eachReviewOf(in, file, use); err != nil {
			return err
		}
	}
	return nil
}

func eachReviewOf(in *command.Inputs, file string, use func(file string, doc *manifest.Document, r *review.Review) error) error {
	f, err := in.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	docs, err := manifest.NewStream(f)
	if err != nil {
		return fmt.Errorf("%s: %w", command.Title(file), err)
	}
	for {
		doc, err := docs.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", command.Title(file), err)
		}
		converted, err := doc.JSON()
		if err != nil {
			return fmt.Errorf("%s: document %d: %w", command.Title(file), doc.Number, err)
		}
		r, err := review.Decode(converted)
		if err != nil {
			return fmt.Errorf("%s: %s: not an AdmissionReview: %w", command.Title(file), doc, err)
		}
		if err := use(file, &doc, r); err != nil {
			return err
		}
	}
}

// evaluator evaluates reviews one after the other.
type evaluator struct {
	set      *policy.Set
	facts    policy.Facts
	records  *records // nil: none are written
	stdout   *bufio.Writer
	stderr   io.Writer
	text     bool
	outcomes map[policy.Outcome]int
}

// evaluate writes the record, if there is one, and then the response: anyone who reads a response finds its record.
func (e *evaluator) evaluate(file string, doc *manifest.Document, r *review.Review) error {
	verdict := r.Evaluate(e.set, e.facts)
	if verdict.Err != nil {
		command.PrintError(e.stderr, program.Plugin,
			fmt.Sprintf("%s: %s: the write could not be evaluated: %v", command.Title(file), doc, verdict.Err))
	}
	e.outcomes[verdict.Outcome()]++
	var receipt review.Receipt
	if e.records != nil {
		var err error
		if receipt, err = e.records.write(r, verdict); err != nil {
			return err
		}
	}
	if e.text {
		fmt.Fprintf(e.stdout, "%s: document %d: %s\n", command.Title(file), doc.Number, sentence(verdict))
	} else {
		e.stdout.Write(r.Answer(verdict, receipt))
		e.stdout.WriteByte('\n')
	}
	return e.stdout.Flush() // has the error of all
}

// sentence is a verdict with its reason.
func sentence(v review.Verdict) string {
	outcome := string(v.Outcome())
	for _, reason := range []string{v.Message(), v.Warning(), v.AuditMessage()} {
		if reason != "" {
			return outcome + ": " + text.Printable(reason)
		}
	}
	return outcome
}
