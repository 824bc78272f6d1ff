// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package authorizer

import (
	"strings"
	"testing"
)

// indented returns the entry as it stands in a list whose dashes have an indentation.
func indented(e *Entry, indent string) string {
	var b strings.Builder
	for line := range strings.Lines(e.yaml()) {
		b.WriteString(indent + line)
	}
	return b.String()
}

func insert(t *testing.T, e *Entry, src string) (string, error) {
	t.Helper()
	c, err := parseConfiguration([]byte(src))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.check(); err != nil {
		t.Fatal(err)
	}
	return e.insert(c, []byte(src))
}

const head = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\n"

// TestInsert inserts where ENTRY stands, and again with the same result.
func TestInsert(t *testing.T) {
	e := NewEntry()
	for name, want := range map[string]string{
		"a list without indentation": head + "authorizers:\n- type: Node\n  name: node\nENTRY- type: RBAC\n  name: rbac\n",
		"an indented list":           head + "authorizers:\n  - type: Node\n    name: node\n  ENTRY  - {type: RBAC, name: rbac}\n",
		"comments and empty lines": "# ours\n" + head + "authorizers: # in this order\n\n- type: Node # first\n  # its name\n  name: node\nENTRY\n" +
			"# then RBAC\n- type: RBAC\n  name: rbac # last\n# end\n",
		"a comment with the indentation of the list": head + "authorizers:\n  - type: Node\n    name: node\n  ENTRY  # RBAC\n  - type: RBAC\n    name: rbac\n",
		"Node is the last one":                       head + "authorizers:\n- {type: Node, name: node}\nENTRY",
		"a key behind the list":                      "authorizers:\n- type: Node\n  name: node\nENTRY" + head,
		"a dash on a line of its own":                head + "authorizers:\n-\n  type: Node\n  name: node\nENTRY-\n  type: RBAC\n  name: rbac\n",
		"a webhook before Node, and a text in several lines": head + "authorizers:\n- name: before\n  type: Webhook\n  webhook:\n    x: |\n      a\n\n" +
			"      # b\n    y: [1,\n      2]\n- name: node\n  type: Node\nENTRY- type: RBAC\n  name: rbac\n",
	} {
		t.Run(name, func(t *testing.T) {
			src := strings.ReplaceAll(strings.Replace(want, "  ENTRY", "", 1), "ENTRY", "")
			want := strings.Replace(strings.Replace(want, "  ENTRY", indented(e, "  "), 1), "ENTRY", indented(e, ""), 1)
			for _, given := range []string{src, want, strings.TrimSuffix(src, "\n")} {
				got, err := insert(t, e, given)
				if err != nil {
					t.Fatal(err)
				}
				if got != want {
					t.Errorf("got\n%s\nwant\n%s", got, want)
				}
			}
			got, err := insert(t, e, strings.ReplaceAll(src, "\n", "\r\n"))
			if err != nil || got != strings.ReplaceAll(want, "\n", "\r\n") {
				t.Errorf("with CRLF: %v\n%s", err, got)
			}
		})
	}
}

func TestInsertReplacesAnOlderEntryAndMovesIt(t *testing.T) {
	old, e := NewEntry(), NewEntry(kubeadm()...)
	for name, src := range map[string]string{
		"in its place":      head + "authorizers:\n- {type: Node, name: node}\n" + old.yaml() + "- {type: RBAC, name: rbac}\n",
		"behind RBAC":       head + "authorizers:\n- {type: Node, name: node}\n- {type: RBAC, name: rbac}\n" + old.yaml(),
		"before Node":       head + "authorizers:\n" + old.yaml() + "- {type: Node, name: node}\n- {type: RBAC, name: rbac}\n",
		"changed by hand":   head + "authorizers:\n- {type: Node, name: node}\n- type: Webhook\n  name: node-restriction-plus\n  webhook: {a: b}\n- {type: RBAC, name: rbac}\n",
		"written in a line": head + "authorizers:\n- {type: Node, name: node}\n- {type: Webhook, name: node-restriction-plus}\n- {type: RBAC, name: rbac}\n",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := insert(t, e, src)
			want := head + "authorizers:\n- {type: Node, name: node}\n" + e.yaml() + "- {type: RBAC, name: rbac}\n"
			if err != nil || got != want {
				t.Errorf("%v\n%s", err, got)
			}
		})
	}
}

func TestInsertIntoFlowStyleKeepsEverything(t *testing.T) {
	e := NewEntry()
	got, err := insert(t, e, `{"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthorizationConfiguration",
  "authorizers": [{"type": "Node", "name": "node"}, {"type": "RBAC", "name": "rbac"}]}`)
	if err != nil {
		t.Fatal(err)
	}
	again, err := insert(t, e, got)
	if err != nil || again != got {
		t.Errorf("not idempotent: %v\n%s", err, again)
	}
	c, err := parseConfiguration([]byte(got))
	if err != nil {
		t.Fatal(err)
	}
	if problems := c.Problems(e); problems != nil {
		t.Error(problems)
	}
}

func TestInsertRefusesWhatItCannotEdit(t *testing.T) {
	anchored := head + "authorizers:\n- &n\n  type: Node\n  name: node\n- type: Webhook\n  name: node-restriction-plus\n  webhook: {a: *n}\n"
	if got, err := insert(t, NewEntry(), anchored); err != nil || !strings.Contains(got, "&n") {
		t.Errorf("an anchor that stays: %v\n%s", err, got)
	}
	e := NewEntry()
	e.Name = "rbac"
	_, err := insert(t, e, head+"authorizers:\n- {type: Node, name: node}\n- {type: RBAC, name: rbac}\n")
	if err == nil || !strings.Contains(err.Error(), `authorizers[1].name: "rbac" is the name of RBAC`) {
		t.Errorf("got %v", err)
	}
}

// FuzzInsert checks that every file that is accepted is edited, and that nothing but the entry changes.
func FuzzInsert(f *testing.F) {
	f.Add(head + "authorizers:\n- type: Node\n  name: node\n- type: RBAC\n  name: rbac\n")
	f.Add(head + "authorizers: [{type: Node, name: node}]\n")
	f.Fuzz(func(t *testing.T, src string) {
		c, err := parseConfiguration([]byte(src))
		if err != nil || c.check() != nil {
			t.Skip()
		}
		e := NewEntry()
		got, err := e.insert(c, []byte(src))
		if err != nil {
			t.Skip() // verified, and refused
		}
		after, err := parseConfiguration([]byte(got))
		if err != nil {
			t.Fatal(err)
		}
		if again, err := e.insert(after, []byte(got)); err != nil || again != got {
			t.Errorf("not idempotent: %v\n%s\n%s", err, got, again)
		}
	})
}

// TestTheFileHasTheConditions reads the file as YAML, with texts that YAML and CEL escape.
func TestTheFileHasTheConditions(t *testing.T) {
	e := NewEntry(
		Permission{Why: "a", Verbs: []string{"get"}, Groups: []string{""}, Resources: []string{"pods"}, Names: []string{`it's "\`, "ü\n#: "}},
		Permission{Why: "b", Verbs: []string{"*"}, Paths: []string{"/\x1b'/*"}},
	)
	e.Kubeconfig = "/a \"b\\\u2028/c"
	c, err := parseConfiguration([]byte(e.configuration(versionV1)))
	if err != nil {
		t.Fatal(err)
	}
	if problems := c.Problems(e); problems != nil {
		t.Error(problems)
	}
	if got := c.Authorizers[1].Webhook.ConnectionInfo.KubeConfigFile; got != e.Kubeconfig {
		t.Errorf("got kubeconfig %q", got)
	}
}
