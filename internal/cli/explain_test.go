// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"

	"noderestriction.plus/internal/command"
	"noderestriction.plus/policy"
)

func TestExplanationAsText(t *testing.T) {
	rule := policy.Rule{
		ID: "node-colours",
		Doc: policy.Doc{
			Title: "A kubelet may paint its Node only in the colours that a policy allows",
			Text: "Colours steer painters: a kubelet that paints its own Node draws painters to itself, with their brushes " +
				"and ladders.",
			Kubelet: "A kubelet is grey.",
			Attack:  `kubectl --kubeconfig kubelet.conf paint node "$NODE" --colour 'dark  red' --layers 3`,
			Spec:    "spec.nodes.colours",
			Fields:  []string{"spec.colour", "status.colour"},
			Since:   "v0.1.0",
			Source:  "kubernetes v1.37.2 pkg/kubelet/colour.go",
		},
		Targets: []policy.Target{
			{Resource: "nodes", Operations: []admissionv1.Operation{admissionv1.Create, admissionv1.Update}},
			{Resource: "nodes", Subresource: "status", Operations: []admissionv1.Operation{admissionv1.Update}},
		},
	}
	const want = `node-colours
  A kubelet may paint its Node only in the colours that a policy allows

Colours steer painters: a kubelet that paints its own Node draws painters to
itself, with their brushes and ladders.

What a stock kubelet writes, which always passes:
  A kubelet is grey.

An attempt that it denies:
  kubectl --kubeconfig kubelet.conf paint node "$NODE" --colour 'dark  red' \
    --layers 3

Turned on by the section of a policy:
  spec.nodes.colours
  (kubectl explain nrp.spec.nodes.colours)

Looks at:
  spec.colour, status.colour

In the writes:
  nodes: CREATE, UPDATE
  nodes/status: UPDATE

Since:
  v0.1.0

Source:
  kubernetes v1.37.2 pkg/kubelet/colour.go
`
	var got strings.Builder
	if err := explainRule(rule).writeText(&got); err != nil {
		t.Fatal(err)
	}
	if got.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", got.String(), want)
	}
}

func TestExplanationsFitATerminal(t *testing.T) {
	for _, id := range ruleIDs() {
		found := explain(id)
		if len(found) != 1 {
			t.Fatalf("%s: %d rules are explained", id, len(found))
		}
		var text strings.Builder
		if err := found[0].writeText(&text); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(text.String()) {
			if command.Columns(strings.TrimSuffix(line, "\n")) > textWidth {
				t.Errorf("rule %s: wider than %d columns: %s", id, textWidth, line)
			}
		}
	}
}

func TestWrapKeepsLongWords(t *testing.T) {
	if got, want := command.Wrap("a bb cccccccccc d", "  ", 6), "  a bb\n  cccccccccc\n  d\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := command.Wrap("", "  ", 6); got != "" {
		t.Errorf("got %q for no text", got)
	}
}
