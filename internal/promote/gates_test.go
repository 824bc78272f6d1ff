// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package promote

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/record"
	"noderestriction.plus/internal/stockwrites"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

// daysAgo is a time before the tests run.
func daysAgo(n float64) metav1.Time {
	return metav1.NewTime(testNow().Add(-time.Duration(n * 24 * float64(time.Hour))))
}

// scenario is a status and a log. Unless a test changes it, both show that the policy would have denied nothing.
type scenario struct {
	status   *v1alpha1.NodeRestrictionPolicyStatus
	log      []string
	accepted []string
	more     []evidence
}

// line is a record of a process.
func line(t *testing.T, boot string, seq uint64, at metav1.Time, change func(*record.Record)) string {
	t.Helper()
	rec := record.New(record.Origin{UID: fmt.Sprint(boot, seq), User: "system:node:worker-1", Version: "v0.1.0"},
		&policy.Request{NodeName: "worker-1", Write: policy.Write{
			Operation: admissionv1.Update, Resource: "nodes", Subresource: "status", Name: "worker-1",
		}},
		policy.Decision{Violations: []policy.PolicyViolation{{Policy: "other", Rule: "node-labels", Action: v1alpha1.Audit, Generation: 1}}})
	rec.Boot, rec.Seq, rec.Time = boot, seq, record.Time(at.Time)
	if change != nil {
		change(&rec)
	}
	text, err := json.Marshal(rec)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// ofThePolicy makes a record one of the policy.
func ofThePolicy(rec *record.Record) { rec.Violations[0].Policy = "trial" }

func newScenario(t *testing.T) *scenario {
	t.Helper()
	since := daysAgo(9)
	evaluated := func(write string) v1alpha1.EvaluatedWrites {
		return v1alpha1.EvaluatedWrites{Write: write, Count: 3, LastTime: daysAgo(1)}
	}
	return &scenario{
		status: &v1alpha1.NodeRestrictionPolicyStatus{
			ObservedGeneration: 4, Since: &since,
			Conditions: []metav1.Condition{
				{Type: "Ready", Status: metav1.ConditionTrue, ObservedGeneration: 4, LastTransitionTime: daysAgo(20)},
				{Type: "Enforced", Status: metav1.ConditionTrue, ObservedGeneration: 4, LastTransitionTime: daysAgo(1)},
			},
			Evaluated: &v1alpha1.Evaluated{
				Generation: 4, ReportTime: daysAgo(0.01), Writes: []v1alpha1.EvaluatedWrites{
					evaluated("CREATE nodes"), evaluated("UPDATE nodes/status"), evaluated("UPDATE pods/status"), evaluated("DELETE pods"),
				},
			},
			Violations: &v1alpha1.Violations{Audited: &v1alpha1.ViolationCount{Total: 12, LastTime: new(daysAgo(8))}},
		},
		log: []string{
			line(t, "OLD", 7, daysAgo(20), ofThePolicy), line(t, "B1", 1, daysAgo(8), ofThePolicy), line(t, "B1", 2, daysAgo(2), nil),
			line(t, "B2", 501, daysAgo(7.5), nil), line(t, "B2", 502, daysAgo(0.1), nil),
		},
	}
}

// asked are the answers of all gates.
func (s *scenario) asked(t *testing.T) []gate {
	t.Helper()
	object := &v1alpha1.NodeRestrictionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "trial", Generation: 4}}
	object.Spec.ValidationActions = []v1alpha1.ValidationAction{v1alpha1.Audit}
	object.Spec.Nodes.Finalizers = &v1alpha1.NodeFinalizers{}
	object.Spec.Pods.Self = &v1alpha1.PodSelf{}
	compiled, errs := rules.NewCompiler().Compile(object)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	q := &question{policy: compiled, generation: 4, status: s.status, now: testNow(), window: 7 * 24 * time.Hour, accepted: s.accepted}
	d := &digests{inputs: &command.Inputs{Stdin: strings.NewReader(strings.Join(s.log, "\n") + "\n")}}
	records, err := d.readRecords([]string{command.StandardInput}, compiled, q.begin())
	if err != nil {
		t.Fatal(err)
	}
	q.evidence = append([]evidence{records}, s.more...)
	return q.gates()
}

func TestEachGateAloneRefuses(t *testing.T) {
	ready := func(s *scenario) *metav1.Condition { return &s.status.Conditions[0] }
	for name, test := range map[string]struct {
		change func(t *testing.T, s *scenario)
		gate   string // empty: all pass
		reason string
	}{
		"everything is as it must be": {change: func(*testing.T, *scenario) {}},
		"the status is of another generation": {
			func(_ *testing.T, s *scenario) { ready(s).ObservedGeneration = 3 }, "in-force", "no replica has reported generation 4 yet",
		},
		"the policy is not enforced as written": {
			func(_ *testing.T, s *scenario) {
				ready(s).Status, ready(s).Message = metav1.ConditionFalse, "spec.x\x1b[31m: bad"
			},
			"in-force", `the policy is not enforced as written: spec.x`,
		},
		"the policy was not enforced as written for a part of the window": {
			func(_ *testing.T, s *scenario) { ready(s).LastTransitionTime = daysAgo(3) },
			"in-force", "the policy is enforced as written since 2026-11-21T08:00:00Z only",
		},
		"the generation is in force for less than the window": {
			func(_ *testing.T, s *scenario) { s.status.Since = new(daysAgo(6)) },
			"in-force", "generation 4 is in force since 2026-11-18T08:00:00Z, for 6d",
		},
		"it is not known since when": {
			func(_ *testing.T, s *scenario) { s.status.Since = nil }, "in-force", "status.since is missing",
		},
		"API servers do not call the webhook": {
			func(_ *testing.T, s *scenario) { s.status.Conditions[1].Status = metav1.ConditionFalse }, "in-force", "the condition Enforced is False",
		},
		"without the probe there is no such condition": {change: func(_ *testing.T, s *scenario) {
			s.status.Conditions = s.status.Conditions[:1]
		}},
		"the status is old": {
			func(_ *testing.T, s *scenario) { s.status.Evaluated.ReportTime = daysAgo(0.5) },
			"fresh", "the latest report of a replica is 12h old",
		},
		"the status is of the future": {
			func(_ *testing.T, s *scenario) { s.status.Evaluated.ReportTime = daysAgo(-1) }, "fresh", "in the future",
		},
		"the status says of a violation in the window": {
			func(_ *testing.T, s *scenario) {
				s.status.Violations.Audited = &v1alpha1.ViolationCount{
					Total: 3, LastTime: new(daysAgo(1)), Recent: []v1alpha1.RecentViolation{
						{Time: daysAgo(1), Node: "worker-3", Rule: "node-labels"},
						{Time: daysAgo(2), Node: "worker-9", Rule: "node-labels"},
						{Time: daysAgo(8), Node: "worker-4", Rule: "node-taints"},
					},
				}
			}, "no-would-denials", "status.violations.audited: the latest 24h ago, by node-labels (worker-3, worker-9)",
		},
		"a policy that warns has warned": {
			func(_ *testing.T, s *scenario) {
				s.status.Violations.Warned = &v1alpha1.ViolationCount{Total: 1, LastTime: new(daysAgo(7))}
			},
			"no-would-denials", "status.violations.warned: the latest 7d ago",
		},
		"a record in the window violates the policy": {
			func(t *testing.T, s *scenario) { s.log = append(s.log, line(t, "B1", 3, daysAgo(1), ofThePolicy)) },
			"no-would-denials", "records: 1 violation of node-labels, the latest at 2026-11-23T08:00:00Z (worker-1)",
		},
		"a late answer counts": {
			func(t *testing.T, s *scenario) {
				s.log = append(s.log, line(t, "B1", 3, daysAgo(1), func(rec *record.Record) { ofThePolicy(rec); rec.Late = true }))
			}, "no-would-denials", "records: 1 violation of node-labels",
		},
		"a dry run does not": {change: func(t *testing.T, s *scenario) {
			s.log = append(s.log, line(t, "B1", 3, daysAgo(1), func(rec *record.Record) { ofThePolicy(rec); rec.DryRun = true }))
		}},
		"a record has no room for its violations": {
			func(t *testing.T, s *scenario) {
				s.log = append(s.log, line(t, "B1", 3, daysAgo(1), func(rec *record.Record) { rec.OmittedViolations = 9 }))
			}, "no-would-denials", "records: 1 line is too short to say which policies are violated",
		},
		"a kind of write was never evaluated": {
			func(_ *testing.T, s *scenario) { s.status.Evaluated.Writes = s.status.Evaluated.Writes[1:] },
			"exercised", "CREATE nodes was not evaluated (node-finalizers): add a node, or delete one and restart its kubelet",
		},
		"a kind of write was evaluated before the window only": {
			func(_ *testing.T, s *scenario) { s.status.Evaluated.Writes[2].LastTime = daysAgo(8) },
			"exercised", "UPDATE pods/status was not evaluated (pod-self)",
		},
		"a kind of write that was not evaluated may be accepted": {change: func(_ *testing.T, s *scenario) {
			s.status.Evaluated.Writes = s.status.Evaluated.Writes[1:]
			s.accepted = []string{"CREATE nodes", "CREATE pods"}
		}},
		"with conditions that follow the policies, the status shows less": {
			func(_ *testing.T, s *scenario) {
				s.status.Conditions = append(s.status.Conditions, metav1.Condition{Type: "Gated", Status: metav1.ConditionFalse})
				s.status.Evaluated.Writes = s.status.Evaluated.Writes[1:]
			}, "exercised", "API servers send only writes that may violate a policy",
		},
		"a record in the window is missing": {
			func(t *testing.T, s *scenario) { s.log = append(s.log, line(t, "B1", 4, daysAgo(1), nil)) },
			"complete", "records: boot B1: 1 record is missing, seq 3",
		},
		"the log begins in the window": {
			func(t *testing.T, s *scenario) { s.log = append(s.log, line(t, "B3", 3, daysAgo(1), nil)) },
			"complete", "records: boot B3: the first 2 records are missing, and the others begin at 2026-11-23T08:00:00Z, in the window",
		},
		"a process that starts in the window is complete": {change: func(t *testing.T, s *scenario) {
			s.log = append(s.log, line(t, "B3", 1, daysAgo(1), nil))
		}},
		"what is missing before the window does not matter": {change: func(t *testing.T, s *scenario) {
			s.log = append(s.log, line(t, "OLD", 9, daysAgo(10), nil))
		}},
		"a line is damaged": {
			func(t *testing.T, s *scenario) { s.log = append(s.log, line(t, "B1", 3, daysAgo(1), nil)[:100]) },
			"complete", "records: 1 line is damaged",
		},
		"a copy is no gap": {change: func(_ *testing.T, s *scenario) { s.log = append(s.log, s.log...) }},
		"there is no record": {
			func(_ *testing.T, s *scenario) { s.log = []string{"another log"} }, "complete", "there is no record, which proves nothing",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScenario(t)
			test.change(t, s)
			var refused []string
			reasons := ""
			for _, g := range s.asked(t) {
				if !g.Passed {
					refused = append(refused, g.Name)
				}
				reasons += strings.Join(g.Reasons, "\n")
			}
			want := []string{test.gate}
			if test.gate == "" {
				want = nil
			}
			if !slices.Equal(refused, want) || !strings.Contains(reasons, test.reason) || strings.Contains(reasons, "\x1b") {
				t.Errorf("%q refuse because of %s; want %q because of %q", refused, reasons, want, test.reason)
			}
		})
	}
}

// found is evidence that says what it is given.
type found struct {
	violations, missing []string
	writes              map[stockwrites.Write]bool
}

func (f found) wouldDeny() []string                   { return f.violations }
func (f found) exercised() map[stockwrites.Write]bool { return f.writes }
func (f found) gaps() []string                        { return f.missing }
func (found) counts() map[string]uint64               { return nil }

func TestAllEvidenceCounts(t *testing.T) {
	registration := stockwrites.Write{Operation: admissionv1.Create, Resource: "nodes"}
	for name, test := range map[string]struct {
		more   found
		passed string
	}{
		"evidence may show a kind of write that the status does not": {
			found{writes: map[stockwrites.Write]bool{registration: true}}, "[in-force fresh no-would-denials exercised complete]",
		},
		"evidence may have a violation that others do not": {
			found{violations: []string{"a violation"}}, "[in-force fresh complete]",
		},
		"evidence may have gaps": {
			found{missing: []string{"a gap"}}, "[in-force fresh no-would-denials]",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScenario(t)
			s.status.Evaluated.Writes = s.status.Evaluated.Writes[1:] // without registrations
			s.more = []evidence{test.more}
			passed := []string{}
			for _, g := range s.asked(t) {
				if g.Passed {
					passed = append(passed, g.Name)
				}
			}
			if got := fmt.Sprint(passed); got != test.passed {
				t.Errorf("%s pass, want %s", got, test.passed)
			}
		})
	}
}

func TestWithoutAStatusNothingIsPromoted(t *testing.T) {
	s := newScenario(t)
	s.status = nil
	passed := []string{}
	for _, g := range s.asked(t) {
		if g.Passed {
			passed = append(passed, g.Name)
		}
	}
	if want := []string{"no-would-denials", "complete"}; !slices.Equal(passed, want) {
		t.Errorf("%q pass, want %q", passed, want)
	}
}

func TestTheDigestIsThatOfTheWholeFile(t *testing.T) {
	const sum = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824" // of hello
	d := &digests{inputs: &command.Inputs{Stdin: strings.NewReader("hello")}}
	f, err := d.Open(command.StandardInput)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(new(bytes.Buffer), f, 2); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if want := []digest{{"standard input", sum}}; !slices.Equal(d.all, want) {
		t.Errorf("got %v, want %v", d.all, want)
	}
}
