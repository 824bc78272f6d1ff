// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package learn

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/commandtest"
	"noderestriction.plus/internal/fixture"
	"noderestriction.plus/internal/manifest"
	"noderestriction.plus/internal/replay"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/object"
	"noderestriction.plus/policy/rules"
)

var update = flag.Bool("update", false, "rewrite the files with which tests compare output")

// denied returns the fixtures of the rules that are denied, by their paths below testdata.
func denied(t *testing.T) map[string]*fixture.Fixture {
	t.Helper()
	const directory = "../../policy/rules/testdata"
	paths, err := filepath.Glob(filepath.Join(directory, "*", "deny", "*.txtar"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	fixtures := map[string]*fixture.Fixture{}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := fixture.Parse(data)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if len(f.Policies) == 1 && f.Request.Subject.IsKubelet() {
			fixtures[strings.TrimPrefix(path, directory+"/")] = f
		}
	}
	return fixtures
}

// evaluate returns the violations of a policy.
func evaluate(t *testing.T, p *v1alpha1.NodeRestrictionPolicy, r *policy.Request) []policy.PolicyViolation {
	t.Helper()
	return setOf(t, p).Evaluate(r).Violations
}

// writeOf returns a write with violations.
func writeOf(r *policy.Request, violations []policy.PolicyViolation) *Write {
	w := &Write{Node: r.NodeName}
	for i, v := range violations {
		if i == 0 || v.Rule != violations[i-1].Rule {
			w.Violations = append(w.Violations, Violation{Rule: v.Rule, Detail: v.Detail, Request: r})
		}
	}
	return w
}

func setOf(t testing.TB, p *v1alpha1.NodeRestrictionPolicy) *policy.Set {
	t.Helper()
	compiled, errs := rules.NewCompiler().Compile(p)
	if len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	return policy.NewSet(compiled)
}

var start = time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)

// learned returns what a learner learns from a write by the given number of nodes.
func learned(t *testing.T, f *fixture.Fixture, nodes int, options Options) *Result {
	t.Helper()
	learner, err := NewLearner(f.Policies[0], options)
	if err != nil {
		t.Fatal(err)
	}
	for i := range nodes {
		r := f.Request
		w := writeOf(&r, evaluate(t, f.Policies[0], &r))
		w.Time, w.UserAgent = start.Add(time.Duration(i)*time.Hour), "kubelet/v1.37.2"
		if i > 0 {
			w.Node = fmt.Sprint("other-", i)
		}
		learner.Add(w)
	}
	return learner.Finish(Log{First: start, Last: start.Add(time.Duration(nodes) * time.Hour), Kubelets: nodes, Evaluated: nodes}, replay.Whole)
}

// TestWideners says what is learned of each write that the fixtures deny, if enough nodes do it: a policy with that allows the write,
// and a write that teaches nothing is reported.
func TestWideners(t *testing.T) {
	fixtures := denied(t)
	var out bytes.Buffer
	names := make([]string, 0, len(fixtures))
	for name := range fixtures {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		f := fixtures[name]
		result := learned(t, f, 2, Options{MinNodes: 2, Agents: []string{"kubelet"}})
		var texts []string
		for _, line := range append(result.Learned, result.Review...) {
			text := fmt.Sprint(line.Field, " ", fieldOf(line.Field).of(line.Element))
			if line.Review != "" {
				text += ", for review: " + line.Review
			}
			texts = append(texts, text)
		}
		switch {
		case len(texts) > 0 && len(result.NotAllowed) > 0:
			t.Errorf("%s: learns from a write that is not allowed", name)
		case len(texts) == 0 && len(result.NotAllowed) == 0:
			t.Errorf("%s: neither learned nor reported", name)
		case len(texts) == 0:
			texts = []string{"never"}
		default:
			all := learned(t, f, 2, Options{All: true})
			r := f.Request
			if vs := evaluate(t, applied(t, f.Policies[0], all.Learned), &r); len(vs) > 0 {
				t.Errorf("%s: the learned policy denies the write: %v", name, vs)
			}
		}
		fmt.Fprintf(&out, "%s\n\t%s\n", name, strings.Join(texts, "\n\t"))
	}
	commandtest.Golden(t, "wideners.golden", out.Bytes(), *update)
}

// TestAttacksAreNotLearned learns from each write that the fixtures deny, by one node.
func TestAttacksAreNotLearned(t *testing.T) {
	for name, f := range denied(t) {
		result := learned(t, f, 1, Options{MinNodes: 2, Agents: []string{"kubelet"}})
		if len(result.Learned) > 0 {
			t.Errorf("%s: learned %v", name, result.Learned)
		}
		if result.Denied != 1 {
			t.Errorf("%s: the learned policy would deny %d writes, want 1", name, result.Denied)
		}
	}
}

// TestWritesThatTeachNothing has writes that the base would perhaps not deny, or perhaps for another reason, too.
func TestWritesThatTeachNothing(t *testing.T) {
	f := denied(t)["node-capacity/deny/inflates-cpu.txtar"]
	for name, test := range map[string]struct {
		write    Write
		all      bool
		complete replay.Completeness
		learned  int
		want     Result // only the numbers
	}{
		"of some rules it is unknown whether they deny it": {
			Write{Undecided: true}, false, replay.Whole, 0, Result{Violating: 1, Denied: 1, Undecided: 1},
		},
		"the same, and everything is taken in": {
			Write{Undecided: true}, true, replay.Whole, 1, Result{Violating: 1},
		},
		"the log lacks writes": {
			Write{Assumes: replay.Fitting}, true, replay.Lacking, 0, Result{},
		},
		"the log may lack writes that the write is derived from": {
			Write{Assumes: replay.Whole}, true, replay.Fitting, 0, Result{},
		},
		"the log is complete enough": {
			Write{Assumes: replay.Fitting}, true, replay.Fitting, 1, Result{Violating: 1},
		},
		"it was not evaluated": {
			Write{Violations: []Violation{{Rule: policy.Unverified, Detail: "no name"}}}, true, replay.Whole, 0, Result{Violating: 1, Denied: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := NewLearner(f.Policies[0], Options{All: test.all, MinNodes: 1, Agents: []string{"kubelet"}})
			if err != nil {
				t.Fatal(err)
			}
			r := f.Request
			w := test.write
			w.Node, w.Time, w.UserAgent = "worker-1", start, "kubelet/v1.37.2"
			if w.Violations == nil {
				w.Violations = writeOf(&r, evaluate(t, f.Policies[0], &r)).Violations
			}
			l.Add(&w)
			got := l.Finish(Log{First: start, Last: start}, test.complete)
			if len(got.Learned) != test.learned || got.Violating != test.want.Violating || got.Denied != test.want.Denied ||
				got.Undecided != test.want.Undecided {
				t.Errorf("learned %v, violating %d, denied %d, undecided %d", got.Learned, got.Violating, got.Denied, got.Undecided)
			}
		})
	}
}

// TestGaps asks a rule about a write without its old value: what the write needs is not known.
func TestGaps(t *testing.T) {
	f := denied(t)["node-capacity/deny/inflates-cpu.txtar"]
	l, err := NewLearner(f.Policies[0], Options{All: true})
	if err != nil {
		t.Fatal(err)
	}
	r := f.Request
	w := writeOf(&r, evaluate(t, f.Policies[0], &r))
	r.Gaps = &object.Gaps{}
	r.Gaps.MissOld("status", "capacity")
	w.Time = start
	l.Add(w)
	if got := l.Finish(Log{First: start, Last: start}, replay.Whole); len(got.Learned) > 0 || len(got.NotAllowed) != 1 {
		t.Errorf("learned %v, not allowed %v", got.Learned, got.NotAllowed)
	}
}

// TestBoundsOfANode has a node whose writes need more than is counted. Other nodes still teach.
func TestBoundsOfANode(t *testing.T) {
	_, base := sites(t)
	l, err := NewLearner(base, Options{MinNodes: 1, Agents: []string{"agent"}})
	if err != nil {
		t.Fatal(err)
	}
	set := setOf(t, base)
	annotate := func(node, key string) {
		d := drawn{at: start, agent: "agent/v1", request: policy.Request{NodeName: node, InNodesGroup: true, Write: policy.Write{
			Operation: "UPDATE", Resource: "nodes", Subresource: "status", Name: node, Version: "v1",
			OldObject: encode(fields{"metadata": fields{"name": node}}),
			Object:    encode(fields{"metadata": fields{"name": node, "annotations": fields{key: "x"}}}),
		}}}
		l.Add(d.write(set))
	}
	const more = 10
	for i := range maxNeeds + more {
		annotate("attacker", fmt.Sprint("key-", i))
	}
	annotate("worker-1", "example.com/x")
	got := l.Finish(Log{First: start, Last: start}, replay.Whole)
	if got.Unlearned != more || got.Violating != maxNeeds+more+1 {
		t.Errorf("%d of %d violating writes are beyond the bounds, want %d", got.Unlearned, got.Violating, more)
	}
	limit := fieldOf(nodeAnnotations).limit
	if len(got.Learned) != limit || !slices.ContainsFunc(got.Learned, func(line Line) bool { return line.Key == "example.com/x" }) {
		t.Errorf("learned %d annotations, want %d and the one of the other node", len(got.Learned), limit)
	}
}

// BenchmarkAdd learns from writes of a site that the base denies.
func BenchmarkAdd(b *testing.B) {
	f, err := os.Open("testdata/site.yaml")
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	base := manifest.Read(f, rules.NewCompiler()).Policies[0].Object
	l, err := NewLearner(base, Options{MinNodes: 2, Agents: []string{"kubelet"}})
	if err != nil {
		b.Fatal(err)
	}
	var writes []*Write
	set := setOf(b, base)
	for _, d := range site() {
		writes = append(writes, d.write(set))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		l.Add(writes[i%len(writes)])
	}
}

func fieldOf(path string) *fieldSpec {
	specs := fieldSpecs()
	return &specs[slices.IndexFunc(specs, func(f fieldSpec) bool { return f.path == path })]
}

// applied returns a policy with lines.
func applied(t *testing.T, base *v1alpha1.NodeRestrictionPolicy, lines []Line) *v1alpha1.NodeRestrictionPolicy {
	t.Helper()
	d, err := newDraft(&base.Spec)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		d.add(fieldOf(line.Field), line.Element)
	}
	spec, err := d.spec()
	if err != nil {
		t.Fatal(err)
	}
	out := base.DeepCopy()
	out.Spec = *spec
	return out
}
