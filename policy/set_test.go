// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	admissionv1 "k8s.io/api/admission/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/object"
	"noderestriction.plus/policy/rules"
)

func newSet(t *testing.T, specs ...string) *policy.Set {
	t.Helper()
	var policies []*policy.Policy
	for i, spec := range specs {
		p, errs := rules.NewCompiler().Compile(parse(t, fmt.Sprintf("p%d", i), spec))
		if len(errs) > 0 {
			t.Fatal(errs.ToAggregate())
		}
		policies = append(policies, p)
	}
	return policy.NewSet(policies...)
}

func statusUpdate(t *testing.T, old, object string) *policy.Request {
	t.Helper()
	r := &policy.Request{
		NodeName: "n1", Write: policy.Write{
			Operation: admissionv1.Update, Resource: "nodes", Subresource: "status", Name: "n1",
			OldObject: []byte(old), Object: []byte(object),
		},
	}
	return r
}

const (
	plainNode     = `{"metadata":{"name":"n1"}}`
	finalizedNode = `{"metadata":{"name":"n1","finalizers":["example.com/stay"]}}`
)

func TestActionsDecideWhatHappens(t *testing.T) {
	for name, test := range map[string]struct {
		actions                  string
		denied, warned, audited  bool
		action                   v1alpha1.ValidationAction
		message, warning, audits string
	}{
		"without actions":     {actions: ``, denied: true, action: v1alpha1.Deny},
		"with Deny":           {actions: `[Deny]`, denied: true, action: v1alpha1.Deny},
		"with Deny and Audit": {actions: `[Audit, Deny]`, denied: true, audited: true, action: v1alpha1.Deny},
		"with Warn":           {actions: `[Warn]`, warned: true, action: v1alpha1.Warn},
		"with Warn and Audit": {actions: `[Warn, Audit]`, warned: true, audited: true, action: v1alpha1.Warn},
		"with Audit":          {actions: `[Audit]`, audited: true, action: v1alpha1.Audit},
	} {
		t.Run(name, func(t *testing.T) {
			spec := `nodes: {finalizers: {}}`
			if test.actions != "" {
				spec += "\nvalidationActions: " + test.actions
			}
			d := newSet(t, spec).Evaluate(statusUpdate(t, plainNode, finalizedNode))
			if d.Denied() != test.denied || d.Action() != test.action {
				t.Errorf("denied %v with action %q, want %v and %q", d.Denied(), d.Action(), test.denied, test.action)
			}
			if got := d.Message() != ""; got != test.denied {
				t.Errorf("message %q", d.Message())
			}
			if got := d.Warning() != ""; got != test.warned {
				t.Errorf("warning %q", d.Warning())
			}
			if got := d.AuditMessage() != ""; got != test.audited {
				t.Errorf("audit message %q", d.AuditMessage())
			}
		})
	}
}

func TestWriteThatCannotBeReadIsAViolationOfEachPolicyThatWouldEvaluateIt(t *testing.T) {
	set := newSet(t, `nodes: {finalizers: {}}`, `pods: {metadata: {}}`,
		`{match: {nodeNames: [other]}, nodes: {finalizers: {}}}`, `{validationActions: [Audit], nodes: {labels: {}}}`)
	r := &policy.Request{
		NodeName: "n1", Write: policy.Write{Operation: admissionv1.Update, Resource: "nodes", Subresource: "status"},
		Undecodable: "the object is too large",
	}
	d := set.Evaluate(r)
	want := `node "n1" violates NodeRestrictionPolicy "p0": unverified (the object is too large)`
	if d.Message() != want || len(d.Violations) != 2 {
		t.Errorf("got %q with %d violations, want %q with 2", d.Message(), len(d.Violations), want)
	}
}

// failingFacts are those of an API server that does not answer.
type failingFacts struct{ policy.Facts }

func (failingFacts) Node(string) (*object.Metadata, bool, error) {
	return nil, false, errors.New("secret detail")
}

func TestFailedLookupIsAViolation(t *testing.T) {
	set := newSet(t, `{match: {nodeSelector: {matchLabels: {a: b}}}, pods: {metadata: {}}}`)
	for name, test := range map[string]struct {
		facts policy.Facts
	}{
		"facts that fail": {facts: failingFacts{}},
		"no facts":        {},
	} {
		r := &policy.Request{
			NodeName: "n1", Write: policy.Write{
				Operation: admissionv1.Update, Resource: "pods", Subresource: "status",

				OldObject: []byte(`{"metadata":{"name":"p"}}`), Object: []byte(`{"metadata":{"name":"p"}}`),
			}, Facts: test.facts,
		}
		d := set.Evaluate(r)
		if !d.Denied() || !strings.Contains(d.Message(), "unverified (") || strings.Contains(d.Message(), "secret") {
			t.Errorf("with %s: got %q, want a denial because it is unverified", name, d.Message())
		}
	}
}

// countdown is a clock whose time is over after it has been asked so many times.
type countdown struct{ left int }

func (c *countdown) Over() bool { c.left--; return c.left < 0 }

func TestWhatIsNotEvaluatedInTimeIsAViolation(t *testing.T) {
	set := newSet(t, `{nodes: {finalizers: {}, ownerReferences: {}, unschedulable: {}}}`, `{nodes: {finalizers: {}}}`)
	for asked, want := range [][]string{
		0: {"p0 unverified", "p1 unverified"},
		1: {"p0 unverified", "p1 unverified"},
		2: {"p0 node-finalizers", "p0 unverified", "p1 unverified"},
		4: {"p0 node-finalizers", "p0 node-unschedulable", "p1 unverified"},
		6: {"p0 node-finalizers", "p0 node-unschedulable", "p1 node-finalizers"},
	} {
		if want == nil {
			continue
		}
		r := &policy.Request{
			NodeName: "n1", Write: policy.Write{
				Operation: admissionv1.Update, Resource: "nodes", Name: "n1",
				OldObject: []byte(`{"metadata":{"name":"n1"}}`),
				Object:    []byte(`{"metadata":{"name":"n1","finalizers":["x"]},"spec":{"unschedulable":true}}`),
			}, Clock: &countdown{asked},
		}
		var got []string
		for _, v := range set.Evaluate(r).Violations {
			got = append(got, v.Policy+" "+string(v.Rule))
			if v.Rule == policy.Unverified && v.Detail != policy.OutOfTime {
				t.Errorf("got the detail %q", v.Detail)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("out of time after being asked %d times: got %q, want %q", asked, got, want)
		}
	}
}

func TestEvaluatesNeedsNoObjects(t *testing.T) {
	set := newSet(t, `{match: {nodeNames: ["n*"]}, nodes: {unschedulable: {}}}`)
	for name, test := range map[string]struct {
		node, subresource string
		want              bool
	}{
		"a write that a rule looks at":    {"n1", "", true},
		"another subresource":             {"n1", "status", false},
		"a kubelet that is not matched":   {"m1", "", false},
		"a subresource nobody thought of": {"n1", "proxy", false},
	} {
		r := &policy.Request{NodeName: test.node, Write: policy.Write{
			Operation: admissionv1.Update, Resource: "nodes", Subresource: test.subresource,
		}}
		if got := set.Evaluates(r); got != test.want {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}

func TestAnObjectThatCannotBeDecodedIsAViolation(t *testing.T) {
	set := newSet(t, `nodes: {labels: {}}`, `pods: {metadata: {}}`, `{validationActions: [Warn], nodes: {labels: {}}}`)
	for name, object := range map[string]string{
		"no object":             ``,
		"null":                  `null`,
		"a duplicate name":      `{"metadata":{"labels":{"a":"b"},"labels":{}}}`,
		"a duplicate label":     `{"metadata":{"labels":{"a":"b","a":"c"}}}`,
		"a list":                `[]`,
		"a label of wrong type": `{"metadata":{"labels":{"a":1}}}`,
		"half an object":        `{"metadata":{"labels":`,
		"two objects":           `{}{}`,
		"invalid UTF-8":         "{\"metadata\":{\"name\":\"\xff\"}}",
	} {
		r := &policy.Request{NodeName: "n1", Write: policy.Write{Operation: admissionv1.Create, Resource: "nodes", Object: []byte(object)}}
		d := set.Evaluate(r)
		want := `node "n1" violates NodeRestrictionPolicy "p0": unverified (the object could not be read)`
		if d.Err == nil || d.Message() != want || d.Warning() == "" || len(d.Violations) != 2 {
			t.Errorf("%s: got the error %v and %v", name, d.Err, d.Violations)
		}
	}
}

// A part that no rule in force reads is not decoded, so that its form does not matter; a part that is read must be well-formed even if
// the rule that reads it finds nothing else.
func TestOnlyPartsThatRulesReadMustBeWellFormed(t *testing.T) {
	const object = `{"metadata":{"name":"n1","labels":["not a map"]},"spec":{"taints":[{"key":"a","effect":"NoSchedule"}]}}`
	for spec, unverified := range map[string]bool{
		`nodes: {finalizers: {}}`:             false,
		`nodes: {labels: {}}`:                 true,
		`nodes: {finalizers: {}, labels: {}}`: true,
		`{match: {nodeSelector: {matchLabels: {a: b}}}, nodes: {finalizers: {}}}`: true, // reads the labels itself
		`{match: {nodeNames: [other]}, nodes: {labels: {}}}`:                      false,
	} {
		for _, operation := range []admissionv1.Operation{admissionv1.Create, admissionv1.Update} {
			r := &policy.Request{
				NodeName: "n1", Write: policy.Write{
					Operation: operation, Resource: "nodes", Name: "n1",
					OldObject: []byte(strings.Replace(object, "not a map", "no map", 1)), Object: []byte(object),
				},
			}
			if operation == admissionv1.Create {
				r.OldObject = nil
			}
			d := newSet(t, spec).Evaluate(r)
			if got := d.Err != nil; got != unverified || d.Denied() != unverified {
				t.Errorf("%s under %s: got the error %v and %q", operation, spec, d.Err, d.Message())
			}
		}
	}
}

func TestAnErrorIsForgottenBeforeTheNextEvaluation(t *testing.T) {
	r := &policy.Request{
		NodeName: "n1", Write: policy.Write{
			Operation: admissionv1.Create, Resource: "nodes", Name: "n1", Object: []byte(`{"metadata":{"labels":[]}}`),
		},
	}
	if d := newSet(t, `nodes: {labels: {}}`).Evaluate(r); d.Err == nil {
		t.Error("labels that are a list are decoded")
	}
	if d := newSet(t, `nodes: {finalizers: {}}`).Evaluate(r); d.Err != nil || d.Denied() {
		t.Errorf("got the error %v and %q", d.Err, d.Message())
	}
}

func TestMessageIsBounded(t *testing.T) {
	var specs []string
	for range 50 {
		specs = append(specs, `nodes: {finalizers: {}, labels: {}, annotations: {}}`)
	}
	object := `{"metadata":{"name":"n1","finalizers":["` + strings.Repeat("é", 1000) + `"],"annotations":{`
	for i := range 500 {
		object += fmt.Sprintf(`"a%d":"",`, i)
	}
	object += `"z":""}}}`
	message := newSet(t, specs...).Evaluate(statusUpdate(t, plainNode, object)).Message()
	if len(message) > 1024 || !utf8.ValidString(message) {
		t.Errorf("the message has %d bytes, valid UTF-8: %v", len(message), utf8.ValidString(message))
	}
	if !strings.Contains(message, "and 493 more") {
		t.Errorf("the message does not count what it leaves out: %s", message)
	}
}

// An API server does not escape names, but an escaped name is the same name.
func TestNamesMayBeEscaped(t *testing.T) {
	set := newSet(t, `nodes: {finalizers: {}, conditions: {}, unknownFields: {}}`)
	for name, test := range map[string]struct{ object, want string }{
		"the name of a part": {
			`{"metadata":{"name":"n1","f\u0069nalizers":["example.com/stay"]}}`, `"example.com/stay"`,
		},
		"the name of a section": {
			`{"meta\u0064ata":{"name":"n1","finalizers":["example.com/stay"]}}`, `"example.com/stay"`,
		},
		"the type of a condition": {
			`{"metadata":{"name":"n1"},"status":{"conditions":[{"t\u0079pe":"Foreign","status":"True"}]}}`, `"Foreign"`,
		},
		"a known field": {`{"metadata":{"name":"n1"},"status":{"conditions":[{"type":"Ready","re\u0061son":"r"}]}}`, ""},
		"an unknown field": {
			`{"metadata":{"name":"n1"},"status":{"conditions":[{"type":"Ready","n\u0065w":1}]}}`, `"status.conditions[].new"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			message := set.Evaluate(statusUpdate(t, plainNode, test.object)).Message()
			if !strings.Contains(message, test.want) || (test.want == "") != (message == "") {
				t.Errorf("got %q, want %s in it", message, test.want)
			}
		})
	}
}

func TestADecisionNamesThePoliciesThatEvaluatedTheWrite(t *testing.T) {
	evicts := &policy.Request{NodeName: "n1", Write: policy.Write{Operation: admissionv1.Create, Resource: "pods", Subresource: "eviction"}}
	for name, test := range map[string]struct {
		request *policy.Request
		want    string
	}{
		"those that restrict the kubelet, with and without a violation": {statusUpdate(t, plainNode, finalizedNode), "[p0 p2]"},
		"not those with no rule for the write":                          {evicts, "[p3]"},
		"none if the object cannot be read":                             {statusUpdate(t, plainNode, `{`), "[]"},
		"not one that could not look the Node up": {
			&policy.Request{NodeName: "n1", Write: policy.Write{Operation: admissionv1.Create, Resource: "pods", Object: []byte(`{}`)}}, "[p4]",
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newSet(t, `nodes: {finalizers: {}}`, `{match: {nodeNames: [n2]}, nodes: {finalizers: {}}}`, `nodes: {labels: {}}`,
				`pods: {eviction: {}}`, `mirrorPods: {names: {}}`,
				`{match: {nodeSelector: {matchLabels: {a: b}}}, mirrorPods: {names: {}}}`).Evaluate(test.request)
			names := []string{}
			for _, p := range d.Evaluators {
				names = append(names, p.Name())
			}
			if got := fmt.Sprint(names); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}
