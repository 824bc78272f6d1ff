// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/manifest"
	"noderestriction.plus/internal/program"
	"noderestriction.plus/internal/review"
	"noderestriction.plus/policy"
)

func reviewCommand() *cobra.Command {
	var o reviewOptions
	cmd := &cobra.Command{
		Use:                   "review --policy FILE... [--context FILE] [--records FILE] [FILE... | -]",
		DisableFlagsInUseLine: true,
		Short:                 "Judge AdmissionReviews as the webhook would",
		Long: `Judge AdmissionReviews (admission.k8s.io/v1) as the webhook would, without a cluster. Each FILE, or
standard input without one, holds any number of them, in JSON, concatenated or a line each, or in
YAML. For each an AdmissionReview with the response is written on a line of standard output, in the
same order and as soon as it is judged. Who is not a kubelet is allowed everything.

A FILE is read to its end or to the first document that is not an AdmissionReview. What was judged
before that stays written.

Exit code: 0 whatever the verdicts; 2 usage, or a policy, a file or a document that cannot be read.`,
		Example: `  kubectl nrp review --policy recommended.yaml reviews.json
  kubectl nrp review --policy a.yaml --policy b.yaml --context nodes.yaml < reviews.json |
    jq -r 'select(.response.allowed | not) | .response.status.message'`,
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&o.policies, "policy", nil, policyFlag)
	flags.StringVar(&o.context, "context", "",
		"`file` with the objects that look-ups find (Nodes), as a v1 List or as documents")
	flags.StringVar(&o.records, "records", "",
		"`file` for the records that the webhook would have logged, overwritten;\nnot -, where the responses go")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			args = []string{command.StandardInput}
		}
		return o.run(args, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
	}
	return cmd
}

type reviewOptions struct {
	policies         []string
	context, records string
}

func (o *reviewOptions) run(files []string, stdin io.Reader, stdout, stderr io.Writer) error {
	switch {
	case len(o.policies) == 0:
		return command.Usagef("--policy: name a file with policies")
	case o.records == command.StandardInput:
		return command.Usagef("--records: must be a file, because the responses go to standard output")
	}
	in := &command.Inputs{Stdin: stdin}
	j := &judge{stdout: bufio.NewWriter(stdout), stderr: stderr}
	objects, err := loadPolicies(in, o.policies)
	if err != nil {
		return err
	}
	compiled := make([]*policy.Policy, len(objects))
	for i, object := range objects {
		compiled[i] = object.Compiled
	}
	j.set = policy.NewSet(compiled...)
	if j.facts, err = readFacts(in, o.context); err != nil {
		return err
	}
	if o.records == "" {
		return j.files(in, files)
	}
	if j.records, err = createRecords(o.records); err != nil {
		return err
	}
	return errors.Join(j.files(in, files), j.records.close())
}

// readFacts reads the objects that look-ups find. Without a file no object exists.
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

// judge judges reviews one after the other.
type judge struct {
	set     *policy.Set
	facts   policy.Facts
	records *records // nil: none are written
	stdout  *bufio.Writer
	stderr  io.Writer
}

func (j *judge) files(in *command.Inputs, files []string) error {
	for _, file := range files {
		if err := j.file(in, file); err != nil {
			return err
		}
	}
	return nil
}

func (j *judge) file(in *command.Inputs, file string) error {
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
		verdict := r.Judge(j.set, j.facts)
		if verdict.Err != nil {
			command.PrintError(j.stderr, program.Plugin,
				fmt.Sprintf("%s: %s: the write could not be judged: %v", command.Title(file), doc, verdict.Err))
		}
		if err := j.answer(r, verdict); err != nil {
			return err
		}
	}
}

// answer writes the record, if there is one, and then the response: whoever reads a response finds its record.
func (j *judge) answer(r *review.Review, verdict review.Verdict) error {
	var receipt review.Receipt
	if j.records != nil {
		var err error
		if receipt, err = j.records.write(r, verdict); err != nil {
			return err
		}
	}
	j.stdout.Write(r.Answer(verdict, receipt))
	j.stdout.WriteByte('\n')
	return j.stdout.Flush() // has the error of both
}
