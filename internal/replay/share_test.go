// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package replay_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/replay"
	"noderestriction.plus/policy"
)

var update = flag.Bool("update", false, "rewrite the shares of verdicts in testdata")

// auditPolicies lower the level of an event as audit policies do.
func auditPolicies() []struct {
	name  string
	lower func(user, resource, subresource string) string
} {
	return []struct {
		name  string
		lower func(user, resource, subresource string) string
	}{
		{"docs/replay.md", func(_, _, _ string) string { return "RequestResponse" }},
		{"kube-up: status writes at Request", func(user, _, subresource string) string {
			if subresource == "status" && user != admin {
				return "Request"
			}
			return "RequestResponse"
		}},
		{"Metadata", func(_, _, _ string) string { return "Metadata" }},
		{"Request", func(_, _, _ string) string { return "Request" }},
		{"WriteRequestBodies: without managedFields", func(_, _, _ string) string { return "stripped" }},
	}
}

// TestShareOfVerdicts pins how many verdicts logs of common audit policies allow, and compares each with the engine's.
func TestShareOfVerdicts(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Verdicts of recommended.yaml on drawn writes of kubelets, a fifth of them attacks, by audit policy.\n")
	writeShares(t, &b, presets(t, "recommended"), false)
	fmt.Fprintf(&b, "# Verdicts of agents.yaml on drawn writes of node agents, many of them attacks, by audit policy, with the denied writes by rule.\n")
	writeShares(t, &b, agents(t), true)
	path := filepath.Join("testdata", "shares.txt")
	if *update {
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(want, b.Bytes()) {
		t.Errorf("got\n%s\nwant\n%s\nRun the test with -update if that is intended (%v)", b.Bytes(), want, err)
	}
}

// writeShares writes how many verdicts policies have.
func writeShares(t *testing.T, b *bytes.Buffer, policies []*v1alpha1.NodeRestrictionPolicy, hasAgents bool) {
	t.Helper()
	for _, p := range auditPolicies() {
		w := newWorld(t, 42)
		w.hasAgents = hasAgents
		w.live(400)
		truth := truthOf(t, w, policies)
		for i := range w.events {
			w.lower(&w.events[i], p.lower)
		}
		writes, r := replayed(t, w.lines(damage{}, w.random), &replay.Options{Policies: policies, Complete: true})
		decided, rules, unknown := 0, 0, 0
		denied := map[string]int{}
		for _, write := range writes {
			violations, lacks := write.Settle(r.Completeness())
			rules += write.Rules
			for _, v := range violations {
				denied[string(v.Rule)]++
			}
			for _, u := range lacks {
				if u.Rule != policy.Unverified {
					unknown++
				}
			}
			if len(lacks) == 0 {
				decided++
			}
			if found := wrong(write, truth[write.AuditID], r.Completeness()); len(found) > 0 {
				t.Errorf("%s: %s: %q", p.name, write.AuditID, found)
			}
		}
		fmt.Fprintf(b, "%-42s %4.1f %% of %d verdicts, all on %4.1f %% of %d writes\n", p.name,
			100-float64(unknown)/float64(rules)*100, rules, float64(decided)/float64(len(writes))*100, len(writes))
		if hasAgents {
			fmt.Fprintf(b, "  %v\n", denied)
		}
	}
}

// lower lowers the level of an event.
func (w *world) lower(e *event, level func(user, resource, subresource string) string) {
	ref, user := e.fields["objectRef"].(map[string]any), e.fields["user"].(map[string]any)
	sub, _ := ref["subresource"].(string)
	switch l := level(user["username"].(string), ref["resource"].(string), sub); l {
	case "Metadata":
		delete(e.fields, "requestObject")
		delete(e.fields, "responseObject")
		e.fields["level"] = l
	case "Request":
		delete(e.fields, "responseObject")
		e.fields["level"] = l
	case "stripped":
		for _, name := range []string{"requestObject", "responseObject"} {
			body := mustMarshal(e.fields[name])
			if get(body, "metadata", "managedFields") != nil {
				var plain any
				w.must(json.Unmarshal(w.set(body, nil, "metadata", "managedFields"), &plain))
				e.fields[name] = plain
			}
		}
	}
}
