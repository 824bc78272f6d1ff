// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package promote

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/replaylog"
	"noderestriction.plus/policy/rules"
)

// registration is the event of the registration of a Node at a time, by a kubelet of a version.
func registration(at metav1.Time, version, node, finalizers, level, annotations string) string {
	object := fmt.Sprintf(`{"kind":"Node","apiVersion":"v1","metadata":{"name":%q,"uid":"u-%[1]s","resourceVersion":"10","finalizers":%s}}`,
		node, finalizers)
	bodies := `"requestObject":` + object + `,"responseObject":` + object + `,`
	if level == "Metadata" {
		bodies = ""
	}
	return fmt.Sprintf(`{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":%q,"auditID":"a","stage":"ResponseComplete",`+
		`"requestURI":"/api/v1/nodes","verb":"create","user":{"username":"system:node:%s","groups":["system:nodes"]},`+
		`"userAgent":"kubelet/v%s (linux/amd64) kubernetes/0123456",`+
		`"objectRef":{"resource":"nodes","name":%[2]q,"apiVersion":"v1"},"responseStatus":{"code":201},`+
		`%[4]s"requestReceivedTimestamp":%q,"stageTimestamp":%[5]q,"annotations":{%s}}`,
		level, node, version, bodies, at.UTC().Format("2006-01-02T15:04:05.000000Z"), annotations)
}

// failedOpen is the annotation of a write for which no replica answered.
const failedOpen = `"failed-open.validating.webhook.admission.k8s.io/round_0_index_0":"registration.noderestriction.plus"`

func TestTheAuditLogIsEvidence(t *testing.T) {
	const whole, without = "RequestResponse", "[]"
	begins := registration(daysAgo(8), "1.37.2", "n1", without, whole, "")
	ends := registration(daysAgo(0.01), "1.37.2", "n2", without, whole, "")
	for name, test := range map[string]struct {
		events                   []string
		violation, gap           string // part of a sentence; empty: there is no such sentence
		exercised                string
		writes, passedUnanswered uint64
	}{
		"a log without a violation": {
			events: []string{begins, ends}, exercised: "[CREATE nodes]", writes: 1,
		},
		"a write that nobody evaluated, but that violates nothing": {
			events:    []string{begins, registration(daysAgo(1), "1.36.0", "n3", without, whole, failedOpen), ends},
			exercised: "[CREATE nodes]", writes: 2, passedUnanswered: 1,
		},
		"a write that nobody evaluated, and that violates the policy": {
			events:    []string{begins, registration(daysAgo(1), "1.36.0", "n3", `["example.com/stay"]`, whole, failedOpen), ends},
			violation: "audit log: 1 violation of node-finalizers, the latest at 2026-11-23T08:00:00Z (n3)",
			exercised: "[CREATE nodes]", writes: 2, passedUnanswered: 1,
		},
		"a write that nobody evaluated, and that cannot be evaluated": {
			events:    []string{begins, registration(daysAgo(1), "1.37.0", "n3", without, "Metadata", failedOpen), ends},
			gap:       "1 write passed while no replica answered, and cannot be evaluated now: level Metadata (1), remedy: the audit policy",
			exercised: "[CREATE nodes]", writes: 2, passedUnanswered: 1,
		},
		"a write that cannot be evaluated, but was": {
			events:    []string{begins, registration(daysAgo(1), "1.37.0", "n3", without, "Metadata", ""), ends},
			exercised: "[CREATE nodes]", writes: 2,
		},
		"a kubelet of a release without a write that could be evaluated": {
			events: []string{begins, registration(daysAgo(1), "1.38.0", "n3", without, "Metadata", ""), ends},
			gap:    "a kubelet of Kubernetes 1.38 writes (n3), but none of its writes could be evaluated", exercised: "[CREATE nodes]", writes: 2,
		},
		"a log that begins in the window": {
			events: []string{registration(daysAgo(1), "1.37.2", "n3", without, whole, ""), ends}, writes: 2,
			gap: "it begins at 2026-11-23T08:00:00Z, in the window", exercised: "[CREATE nodes]",
		},
		"a log that ends early": {
			events: []string{begins, registration(daysAgo(1), "1.37.2", "n3", without, whole, "")}, writes: 1,
			gap: "it ends at 2026-11-23T08:00:00Z, 24h ago", exercised: "[CREATE nodes]",
		},
		"a log with a damaged event": {
			events: []string{begins, begins[:200], ends}, gap: "entries that cannot be read: 1", exercised: "[CREATE nodes]", writes: 1,
		},
		"a log without writes of kubelets": {events: []string{begins}, gap: "it has no write of a kubelet in the window", exercised: "[]"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &v1alpha1.NodeRestrictionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "trial", Generation: 4}}
			p.Spec.ValidationActions = []v1alpha1.ValidationAction{v1alpha1.Audit}
			p.Spec.Nodes.Finalizers = &v1alpha1.NodeFinalizers{}
			compiled, errs := rules.NewCompiler().Compile(p)
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			d := &digests{inputs: &command.Inputs{Stdin: strings.NewReader(strings.Join(test.events, "\n") + "\n")}}
			source := &replaylog.Source{}
			source.AddFlags(&cobra.Command{}) // sets the defaults
			source.AuditLogs = []string{command.StandardInput}
			a, err := d.readAudit(source, p, compiled, daysAgo(7).Time, testNow(), io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range []struct {
				what, want string
				got        []string
			}{{"violations", test.violation, a.wouldDeny()}, {"gaps", test.gap, a.gaps()}} {
				if c.want == "" && len(c.got) > 0 || c.want != "" && (len(c.got) != 1 || !strings.Contains(c.got[0], c.want)) {
					t.Errorf("%s: got %q, want %q", c.what, c.got, c.want)
				}
			}
			exercised := []string{}
			for w := range a.exercised() {
				exercised = append(exercised, w.String())
			}
			slices.Sort(exercised)
			counts := a.counts()
			if fmt.Sprint(exercised) != test.exercised || counts["auditedWrites"] != test.writes || counts["failedOpen"] != test.passedUnanswered {
				t.Errorf("exercised %v, %v; want %s, %d writes, %d of them while no replica answered",
					exercised, counts, test.exercised, test.writes, test.passedUnanswered)
			}
		})
	}
}

func TestAnAuditLogIsReadOnceForItsDigest(t *testing.T) {
	d := &digests{inputs: &command.Inputs{}}
	for range 2 {
		f, err := d.Open("main_test.go")
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(d.all) != 1 || d.all[0].Name != "main_test.go" || len(d.all[0].SHA256) != 64 {
		t.Errorf("got %v, want one digest", d.all)
	}
}
