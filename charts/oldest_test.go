// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build oldest

package charts_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"regexp"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	celconfig "k8s.io/apiserver/pkg/apis/cel"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/compile"
	"noderestriction.plus/policy"
)

// decision is what a policy decides about a write, as the program in charts/oldest prints it.
type decision struct {
	Denied      map[int]string    `json:"denied"`
	Annotations map[string]string `json:"annotations"`
	Error       string            `json:"error"`
}

// equal reports whether two evaluators decide the same. They word errors differently. A message names the first violation of several; for
// the keys of a map the order is random.
func (d *decision) equal(other *decision) bool {
	if d.Error != "" || other.Error != "" {
		return d.Error != "" && other.Error != ""
	}
	name := regexp.MustCompile(`"[^"]*"\)$`)
	return maps.EqualFunc(d.Denied, other.Denied, func(a, b string) bool {
		return name.ReplaceAllString(a, "") == name.ReplaceAllString(b, "")
	}) && maps.Equal(d.Annotations, other.Annotations)
}

// decide evaluates a write with the code of the newest API server.
func (e *enforced) decide(t testing.TB, c *caller, r policy.Request) *decision {
	t.Helper()
	attributes := c.attributesOf(r)
	result := e.validator.Validate(t.Context(), attributes.GetResource(), attributes, nil, nil, celconfig.RuntimeCELCostBudget, nil)
	d := &decision{Denied: map[int]string{}, Annotations: map[string]string{}}
	for i, one := range result.Decisions {
		switch {
		case one.Evaluation == validating.EvalError:
			return &decision{Error: one.Message}
		case one.Action == validating.ActionDeny:
			d.Denied[i] = fmt.Sprintf("%s: %s", one.Reason, one.Message)
		}
	}
	for _, a := range result.AuditAnnotations {
		switch a.Action {
		case validating.AuditAnnotationActionPublish:
			d.Annotations[a.Key] = a.Value
		case validating.AuditAnnotationActionError:
			return &decision{Error: a.Error}
		}
	}
	return d
}

// oldestServer is the program in charts/oldest, which evaluates with the code of the oldest supported API server.
type oldestServer struct {
	jobs    *json.Encoder
	answers *json.Decoder
	// writes that have been compared, those of them that the types of the oldest server can hold, and those that were denied.
	compared, typed, denied int
}

// startOldest builds and starts the program. It ends with the test.
func startOldest(t *testing.T) *oldestServer {
	t.Helper()
	// The context of the test ends before the program does.
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "go", "run", ".")
	cmd.Dir = "oldest"
	var errs bytes.Buffer
	cmd.Stderr = &errs
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	o := &oldestServer{jobs: json.NewEncoder(in), answers: json.NewDecoder(out)}
	t.Cleanup(func() {
		in.Close()
		rest, err := io.ReadAll(out)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %s", err, errs.String())
		}
		if err != nil || len(bytes.TrimSpace(rest)) > 0 && !t.Failed() {
			t.Errorf("the program wrote more than was asked: %v", err)
		}
	})
	return o
}

// compare has both evaluate writes by a policy.
func (o *oldestServer) compare(t *testing.T, kind compile.Kind, writes []policy.Request) {
	t.Helper()
	c := &caller{t: t}
	job := struct {
		Policy   *admissionregistrationv1.ValidatingAdmissionPolicy `json:"policy"`
		Requests []*admissionv1.AdmissionRequest                    `json:"requests"`
	}{Policy: kind.Policy}
	for _, r := range writes {
		job.Requests = append(job.Requests, c.admissionRequest(r))
	}
	if err := o.jobs.Encode(job); err != nil {
		t.Fatal(err)
	}
	e, errs := newEnforced(kind)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	var want []*decision
	for _, r := range writes {
		want = append(want, e.decide(t, c, r))
	}
	var answer struct {
		Refused []string
		Writes  []struct {
			Typed bool
			decision
		}
	}
	if err := o.answers.Decode(&answer); err != nil {
		t.Fatalf("%s: %v", kind.Policy.Name, err)
	}
	if len(answer.Refused) > 0 || len(answer.Writes) != len(writes) {
		t.Fatalf("%s: it has %d verdicts on %d writes, and refuses the policy: %v",
			kind.Policy.Name, len(answer.Writes), len(writes), answer.Refused)
	}
	for i, have := range answer.Writes {
		o.compared++
		if have.Typed {
			o.typed++
		}
		if len(want[i].Denied) > 0 {
			o.denied++
		}
		if !have.equal(want[i]) {
			t.Fatalf("%s, typed %v: the oldest API server says %+v, the newest %+v\n%s\n%s",
				kind.Policy.Name, have.Typed, have.decision, *want[i], writes[i].OldObject, writes[i].Object)
		}
	}
}

// admissionRequest is the write as CEL sees it, with its objects as JSON.
func (c *caller) admissionRequest(r policy.Request) *admissionv1.AdmissionRequest {
	attributes := c.attributesOf(r)
	request := cel.CreateAdmissionRequest(attributes.Attributes,
		metav1.GroupVersionResource(attributes.GetResource()), metav1.GroupVersionKind(attributes.VersionedKind))
	request.Object, request.OldObject = runtime.RawExtension{Raw: r.Object}, runtime.RawExtension{Raw: r.OldObject}
	request.Options = runtime.RawExtension{}
	if attributes.GetOperationOptions() != nil {
		request.Options.Raw = r.Options
	}
	return request
}

// sample is how many writes there are for each one that is compared, beside the fixtures. All would take minutes.
const sample = 16

// some returns those fixtures that a policy is for, and a sample of the writes that are made of them.
func (c *corpus) some(t *testing.T, kind compile.Kind, writes []policy.Request) []policy.Request {
	t.Helper()
	var of []policy.Request
	for _, r := range c.fixtures {
		if isFor(kind, (&caller{t: t}).attributesOf(r)) {
			of = append(of, r)
		}
	}
	for i := 0; i < len(writes); i += sample {
		of = append(of, writes[i])
	}
	return of
}

// TestOldestServerAgrees has the oldest supported API server and the newest evaluate what is compiled of policies, and
// what the chart installs. Two policies of each rule evaluate all its fixtures, and a sample of the writes that can be made of them.
func TestOldestServerAgrees(t *testing.T) {
	o := startOldest(t)
	var all []policy.Request
	for _, rule := range expressibleRules() {
		c := newCorpus(t, rule)
		c.policies = c.policies[:min(len(c.policies), 2)]
		c.each(t, func(_ *v1alpha1.NodeRestrictionPolicy, e *enforced, writes []policy.Request) {
			o.compare(t, e.Kind, c.some(t, e.Kind, writes))
		})
		for i := 0; i < len(c.writes); i += sample {
			all = append(all, c.writes[i])
		}
	}
	compiled := o.compared
	for _, kind := range installed(t) {
		var writes []policy.Request
		for _, r := range all {
			if isFor(kind, (&caller{t: t}).attributesOf(r)) {
				writes = append(writes, r)
			}
		}
		o.compare(t, kind, writes)
	}
	t.Logf("%d verdicts compared, %d of them of what is compiled; %d typed, %d denied", o.compared, compiled, o.typed, o.denied)
	if compiled < 1_000 || o.compared-compiled < 500 || o.typed < o.compared*3/4 || o.denied < o.compared/10 || o.denied > o.compared*9/10 {
		t.Error("these are too few")
	}
}
