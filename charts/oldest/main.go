// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Oldest evaluates ValidatingAdmissionPolicies with the code of the oldest API server that the product supports, so that the tests of the
// chart can compare its verdicts with those of the newest.
//
// It reads JSON values from standard input, each of them a Job, and writes an Answer for each.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Job is a policy, and the writes to evaluate.
type Job struct {
	Policy   *admissionregistrationv1.ValidatingAdmissionPolicy `json:"policy"`
	Requests []*admissionv1.AdmissionRequest                    `json:"requests"`
}

// Answer has the verdicts on the writes of a Job, in their order.
type Answer struct {
	// Refused has the errors for which an API server refuses the policy. There are no verdicts then.
	Refused []string  `json:"refused,omitempty"`
	Writes  []Verdict `json:"writes,omitempty"`
}

// Verdict says what an API server decides about a write.
type Verdict struct {
	// Typed says that CEL has seen typed objects, as in an API server. The types of this release may lack a field, or have no such kind: then
	// the objects are unstructured.
	Typed bool `json:"typed"`
	*Decision
}

// Decision is what a policy decides about a write.
type Decision struct {
	// Denied has the index of each validation that denies the write, and its reason and message.
	Denied map[int]string `json:"denied,omitempty"`
	// Annotations are those of the audit event.
	Annotations map[string]string `json:"annotations,omitempty"`
	// Error is that of an expression.
	Error string `json:"error,omitempty"`
}

func main() {
	if err := run(context.Background(), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "oldest:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, in io.Reader, out io.Writer) error {
	scheme, err := newScheme()
	if err != nil {
		return err
	}
	compiler, err := newCompiler()
	if err != nil {
		return err
	}
	jobs, answers := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var job Job
		if err := jobs.Decode(&job); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		answer, err := job.do(ctx, compiler, scheme)
		if err != nil {
			return err
		}
		if err := answers.Encode(answer); err != nil {
			return err
		}
	}
}

func (j *Job) do(ctx context.Context, compiler *compiler, scheme *runtime.Scheme) (*Answer, error) {
	if j.Policy == nil {
		return nil, errors.New("policy: it is required")
	}
	e, refused := compiler.evaluator(j.Policy)
	if len(refused) > 0 {
		return &Answer{Refused: refused}, nil
	}
	answer := &Answer{}
	for i, r := range j.Requests {
		w, err := newWrite(scheme, r)
		if err != nil {
			return nil, fmt.Errorf("policy %s: requests[%d]: %w", j.Policy.Name, i, err)
		}
		answer.Writes = append(answer.Writes, Verdict{Typed: w.typed, Decision: e.decide(ctx, w.attributes())})
	}
	return answer, nil
}
