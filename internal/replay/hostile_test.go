// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package replay_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"noderestriction.plus/internal/auditlog"
	"noderestriction.plus/internal/replay"
)

// verdicts returns the rules that the writes of a log violate, a line for each write.
func verdicts(t *testing.T, log []byte, o *replay.Options) []string {
	t.Helper()
	o.Policies = presets(t, "recommended")
	writes, r := replayed(t, log, o)
	var lines []string
	for _, w := range writes {
		violations, unknown := w.Settle(r.Completeness())
		var rules []string
		for _, v := range violations {
			rules = append(rules, string(v.Rule))
		}
		line := strings.Join(rules, ",")
		if len(unknown) > 0 {
			line += "?"
		}
		lines = append(lines, line)
	}
	return lines
}

// attacked is a Node and merge patches of its kubelet with these bodies.
func attacked(t *testing.T, bodies ...any) *world {
	t.Helper()
	w := newWorld(t, 1)
	w.register("worker-1")
	for _, body := range bodies {
		w.send(sent{user: kubelet("worker-1"), verb: "merge", resource: "nodes", sub: "status", name: "worker-1", body: body})
	}
	return w
}

func labels(pairs ...any) fields {
	set := fields{}
	for i := 0; i < len(pairs); i += 2 {
		set[pairs[i].(string)] = pairs[i+1]
	}
	return fields{"metadata": fields{"labels": set}}
}

func wantVerdicts(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTwoWritesWithOneAuditIDAreTwoWrites(t *testing.T) {
	t.Parallel()
	w := attacked(t, labels("example.com/a", "1"), labels("example.com/b", "1"))
	for i := range w.events {
		w.events[i].fields["auditID"] = strings.Repeat("x", 100_000)
	}
	wantVerdicts(t, verdicts(t, w.lines(damage{}, w.random), &replay.Options{Complete: true}), "", "node-labels", "node-labels")
}

func TestADryRunChangesNothingInWhatIsKnown(t *testing.T) {
	t.Parallel()
	w := attacked(t)
	for _, dryRun := range []bool{true, false} {
		w.send(sent{
			user: kubelet("worker-1"), verb: "merge", resource: "nodes", sub: "status", name: "worker-1", body: labels("example.com/a", "1"), dryRun: dryRun,
		})
	}
	wantVerdicts(t, verdicts(t, w.lines(damage{}, w.random), &replay.Options{Complete: true}), "", "node-labels", "node-labels")
}

// Of a patch with a name twice, an API server reads the last one.
func TestDuplicateNames(t *testing.T) {
	t.Parallel()
	w := attacked(t, labels("example.com/a", "1"))
	log := w.lines(damage{}, w.random)
	log = bytes.Replace(log, []byte(`"requestObject":{"metadata":{"labels":{"example.com/a":"1"}}}`),
		[]byte(`"requestObject":{"metadata":{"labels":{}},"metadata":{"labels":{"kubernetes.io/os":"linux"},"labels":{"example.com/a":"1"}}}`), 1)
	wantVerdicts(t, verdicts(t, log, &replay.Options{Complete: true}), "", "node-labels")
}

func TestAMutatingWebhookMakesAnUpdateUnknownUnlessTheLogIsComplete(t *testing.T) {
	t.Parallel()
	w := attacked(t, labels("example.com/a", "1"))
	w.events[1].fields["annotations"] = fields{
		"mutation.webhook.admission.k8s.io/round_0_index_0": `{"configuration":"c","webhook":"inject.example.com","mutated":true}`,
	}
	log := w.lines(damage{}, w.random)
	wantVerdicts(t, verdicts(t, log, &replay.Options{Complete: true}), "", "node-labels")
	writes, _ := replayed(t, log, &replay.Options{Policies: presets(t, "recommended")})
	if _, unknown := writes[1].Settle(replay.Fitting); len(unknown) == 0 {
		t.Error("the update is not unknown")
	}
}

func TestOthersWritesAndImpersonatedOnes(t *testing.T) {
	t.Parallel()
	w := attacked(t, labels("example.com/a", "1"))
	w.events[1].fields["impersonatedUser"] = w.events[1].fields["user"]
	w.events[1].fields["user"] = fields{"username": "admin", "groups": []string{"system:masters"}}
	w.send(sent{user: admin, verb: "merge", resource: "nodes", sub: "status", name: "worker-1", body: labels("example.com/b", "1")})
	w.send(sent{user: kubelet("worker-1"), verb: "merge", resource: "nodes", sub: "status", name: "worker-1", body: labels("example.com/b", "1")})
	wantVerdicts(t, verdicts(t, w.lines(damage{}, w.random), &replay.Options{Complete: true}), "", "node-labels", "")
}

func TestRefusedWritesAreEvaluatedOnlyOnRequest(t *testing.T) {
	t.Parallel()
	w := attacked(t)
	w.send(sent{
		user: kubelet("worker-2"), verb: "merge", resource: "nodes", sub: "status", name: "worker-1", body: labels("example.com/a", "1"), refused: true,
	})
	log := w.lines(damage{}, w.random)
	wantVerdicts(t, verdicts(t, log, &replay.Options{Complete: true}), "")
	got := verdicts(t, log, &replay.Options{Complete: true, Attempts: true})
	if len(got) != 2 || !strings.Contains(got[1], "node-self") {
		t.Errorf("got %q", got)
	}
}

// FuzzReplay reads any log. Whatever it has, its memory and time are bounded, and each write has at most as many verdicts as there are rules.
func FuzzReplay(f *testing.F) {
	w := newWorld(&testing.T{}, 3)
	w.live(20)
	f.Add(w.lines(damage{}, w.random))
	f.Add(w.lines(damage{lowered: 50, cut: 30}, w.random))
	f.Add([]byte(`{"kind":"Event","apiVersion":"audit.k8s.io/v1","stage":"ResponseComplete","verb":"patch","user":{"username":"system:node:a"},` +
		`"objectRef":{"resource":"nodes","name":"a"},"requestObject":[{"op":"add","path":"/metadata/labels/a~1b","value":"\u202e"}]}`))
	policies := presets(f, "strict")
	f.Fuzz(func(t *testing.T, log []byte) {
		r, err := replay.New(&replay.Options{Policies: policies, Complete: true, Attempts: true}, func(w *replay.Write) error {
			if n := len(w.Unknown) + len(w.Assumes); n > 200 {
				return fmt.Errorf("%d verdicts", n)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		events := auditlog.NewLog(auditlog.Auto)
		events.Want, events.KeepCut = r.Wants, true
		err = events.Read(bytes.NewReader(log), r.Add)
		if finish := r.Finish(); finish != nil || err != nil && strings.HasSuffix(err.Error(), " verdicts") {
			t.Fatal(err, finish)
		}
	})
}
