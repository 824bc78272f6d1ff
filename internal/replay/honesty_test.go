// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package replay_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/auditlog"
	"noderestriction.plus/internal/manifest"
	"noderestriction.plus/internal/replay"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

// presets are the policies of the project, all together.
func presets(t testing.TB, names ...string) []*v1alpha1.NodeRestrictionPolicy {
	t.Helper()
	var all []*v1alpha1.NodeRestrictionPolicy
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join("..", "..", "config", "policies", name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		policies, err := manifest.Policies(data)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, policies...)
	}
	return all
}

// agents are the policies for the node agents of the drawn clusters.
func agents(t testing.TB) []*v1alpha1.NodeRestrictionPolicy {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "agents.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	policies, err := manifest.Policies(data)
	if err != nil {
		t.Fatal(err)
	}
	return policies
}

// truth evaluates what the webhook would have been sent.
func truthOf(t *testing.T, w *world, policies []*v1alpha1.NodeRestrictionPolicy) map[string]policy.Decision {
	t.Helper()
	compiler := rules.NewCompiler()
	var compiled []*policy.Policy
	for _, p := range policies {
		one, errs := compiler.Compile(p)
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		compiled = append(compiled, one)
	}
	set := policy.NewSet(compiled...)
	decisions := map[string]policy.Decision{}
	for id, r := range w.truth {
		decisions[id] = set.Evaluate(r)
	}
	return decisions
}

// line encodes an event in the order of an API server.
func (e *event) line() []byte {
	var b bytes.Buffer
	b.WriteByte('{')
	for _, name := range []string{
		"kind", "apiVersion", "level", "auditID", "stage", "requestURI", "verb", "user", "impersonatedUser", "objectRef", "responseStatus",
		"requestObject", "responseObject", "requestReceivedTimestamp", "stageTimestamp", "annotations",
	} {
		value, has := e.fields[name]
		if !has {
			continue
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		b.WriteString(`"` + name + `":`)
		b.Write(mustMarshal(value))
	}
	b.WriteByte('}')
	return b.Bytes()
}

// damage is what happens to a log.
type damage struct {
	lost, lowered, cut int // of 100 events
	skew               time.Duration
}

// lines returns the log, with its events in the order in which they are read, after the damage.
func (w *world) lines(d damage, random *rand.Rand) []byte {
	type logged struct {
		at   time.Time
		line []byte
	}
	var all []logged
	for i := range w.events {
		e := &event{fields: map[string]any{}}
		for k, v := range w.events[i].fields {
			e.fields[k] = v
		}
		at := e.fields["requestReceivedTimestamp"].(time.Time)
		if w.events[i].server == 1 {
			at = at.Add(d.skew)
		}
		e.fields["requestReceivedTimestamp"], e.fields["stageTimestamp"] = at, at.Add(3*time.Millisecond)
		if random.IntN(100) < d.lost {
			continue
		}
		if random.IntN(100) < d.lowered {
			delete(e.fields, "responseObject")
			e.fields["level"] = "Request"
			if random.IntN(2) == 0 {
				delete(e.fields, "requestObject")
				e.fields["level"] = "Metadata"
			}
		}
		line := e.line()
		if random.IntN(100) < d.cut {
			// Who sent what is never cut: then the event would be lost.
			head := bytes.Index(line, []byte(`,"requestObject"`))
			if head < 0 {
				head = bytes.Index(line, []byte(`,"requestReceivedTimestamp"`))
			}
			line = line[:head+random.IntN(len(line)-head)]
		}
		all = append(all, logged{at, line})
	}
	slices.SortStableFunc(all, func(a, b logged) int { return a.at.Compare(b.at) })
	var b bytes.Buffer
	for _, l := range all {
		b.Write(l.line)
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// replayed evaluates a log.
func replayed(t testing.TB, log []byte, o *replay.Options) ([]*replay.Write, *replay.Replay) {
	t.Helper()
	var writes []*replay.Write
	r, err := replay.New(o, func(w *replay.Write) error {
		writes = append(writes, w)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	events := auditlog.NewLog(auditlog.Auto)
	events.Want, events.KeepCut = r.Wants, true
	if err := events.Read(bytes.NewReader(log), r.Add); err != nil {
		t.Fatal(err)
	}
	if err := r.Finish(); err != nil {
		t.Fatal(err)
	}
	return writes, r
}

// rule is a rule of a policy.
type rule struct {
	policy string
	id     policy.RuleID
}

// wrong returns the verdicts on a write that are not those of the webhook.
func wrong(w *replay.Write, truth policy.Decision, c replay.Completeness) []string {
	violations, lacks := w.Settle(c)
	unknown, unknownPolicies := map[rule]bool{}, map[string]bool{}
	for _, u := range lacks {
		unknown[rule{u.Policy, u.Rule}], unknownPolicies[u.Policy] = true, true
	}
	unverified := map[string]bool{}
	want := map[rule][]string{}
	for _, v := range truth.Violations {
		if v.Rule == policy.WithoutNode && v.Policy == "lenient-agents" {
			continue // recorded, and no denial
		}
		unverified[v.Policy] = unverified[v.Policy] || v.Rule == policy.Unverified
		of := rule{v.Policy, v.Rule}
		want[of] = append(want[of], v.Field+": "+v.Detail)
	}
	got := map[rule][]string{}
	for _, v := range violations {
		of := rule{v.Policy, v.Rule}
		got[of] = append(got[of], v.Field+": "+v.Detail)
	}
	var found []string
	for of, violations := range want {
		switch {
		case unknown[of], unverified[of.policy] && (of.id != policy.Unverified || unknownPolicies[of.policy]):
		case !slices.Equal(violations, got[of]):
			found = append(found, fmt.Sprintf("%s: the webhook says %q, the replay %q", of, violations, got[of]))
		}
	}
	for of, violations := range got {
		if len(want[of]) == 0 && !unverified[of.policy] {
			found = append(found, fmt.Sprintf("%s: the webhook says nothing, the replay %q", of, violations))
		}
	}
	slices.Sort(found)
	return found
}

func (r rule) String() string { return r.policy + "/" + string(r.id) }

// check replays a damaged log, and returns how many writes have all verdicts.
func check(t *testing.T, w *world, policies []*v1alpha1.NodeRestrictionPolicy, log []byte, d damage, seed uint64) (decided, all int) {
	t.Helper()
	truth := truthOf(t, w, policies)
	writes, r := replayed(t, log, &replay.Options{Policies: policies, Skew: 2 * d.skew, Complete: d.lost == 0})
	for _, write := range writes {
		all++
		if _, unknown := write.Settle(r.Completeness()); len(unknown) == 0 {
			decided++
		}
		if found := wrong(write, truth[write.AuditID], r.Completeness()); len(found) > 0 {
			q := &write.Request
			t.Errorf("seed %d, %s, %s %s/%s %s by %s (level %q, complete: %v):\n%s\n%s", seed, write.AuditID, q.Operation, q.Resource,
				q.Subresource, q.Name, q.NodeName, write.Level, r.Complete(), strings.Join(found, "\n"), mustMarshal(w.event(write.AuditID)))
		}
	}
	return decided, all
}

func (w *world) event(id string) map[string]any {
	for i := range w.events {
		if w.events[i].fields["auditID"] == id {
			fields := w.events[i].fields
			return map[string]any{"uri": fields["requestURI"], "request": fields["requestObject"], "answer": fields["responseObject"]}
		}
	}
	return nil
}

func TestAVerdictIsThatOfTheWebhook(t *testing.T) {
	t.Parallel()
	policies := append(presets(t, "strict", "recommended", "baseline"), agents(t)...)
	seeds := 1000
	if testing.Short() || raceEnabled {
		seeds = 50
	}
	for _, d := range []struct {
		name string
		damage
	}{
		{"a whole log", damage{}},
		{"clocks that are 5 s apart", damage{skew: 5 * time.Second}},
		{"a log that lacks one event in ten", damage{lost: 10}},
		{"levels that are lower now and then", damage{lowered: 30, skew: time.Second}},
		{"events that are cut", damage{cut: 20}},
		{"everything at once", damage{lost: 10, lowered: 20, cut: 10, skew: 5 * time.Second}},
	} {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			decided, all := 0, 0
			for seed := range (seeds + 5) / 6 {
				w := newWorld(t, uint64(seed))
				w.hasAgents = seed%2 == 0
				w.live(120 + 600*(seed%10/9))
				random := rand.New(rand.NewPCG(uint64(seed), 2))
				some, of := check(t, w, policies, w.lines(d.damage, random), d.damage, uint64(seed))
				decided, all = decided+some, all+of
				if t.Failed() {
					break
				}
			}
			t.Logf("%d of %d writes have all verdicts", decided, all)
		})
	}
}
