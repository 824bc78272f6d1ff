// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package attack

import (
	"bytes"
	"flag"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/commandtest"
)

var update = flag.Bool("update", false, "rewrite generated pages and the files with which scripts compare output")

func root() *cobra.Command { return command.Plugin(command.ByKubectl, Command()) }

func TestMain(m *testing.M) { commandtest.Main(m, root) }

// TestScripts runs what a user could type.
func TestScripts(t *testing.T) { commandtest.Scripts(t, *update) }

func TestHelpFitsATerminal(t *testing.T) { commandtest.Help(t, root()) }

// sample is a report with a result of each kind. Its texts are hostile.
func sample() *Report {
	at := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	r := newRun("worker-1", "")
	r.Server, r.ServerVersion, r.UserAgent, r.Started, r.Ended = "https://127.0.0.1:6443", "v1.37.2", UserAgent, &at, &at
	r.PoliciesKnown = true
	r.Policies = []PolicyRef{{"strict", "0123"}}
	r.files = []string{"policies/a b.yaml"}
	for _, sample := range []struct {
		attack, note string
		v            verdict
		forbidden    bool
	}{
		{attack: "label-own-node", v: verdict{by: Here, policy: "strict", rules: "node-labels", detail: `must not add "<script>"`}, forbidden: true},
		{attack: "hold-own-node", note: `a policy forbids it: "]]>"`, forbidden: true},
		{attack: "inflate-capacity", note: "no policy forbids it with spec.nodes.capacity"},
		{attack: "register-as-dedicated", v: verdict{by: Here, name: `"node-restriction-plus.strict"`}, forbidden: true},
		{attack: "write-other-node", v: verdict{by: NodeRestriction}},
		{attack: "token-of-controller", v: verdict{by: NotTried, detail: noToken}},
		{attack: "kill-pod", v: verdict{by: NotTried, detail: "<b>&", failed: true}},
		{attack: "mirror-privileged", v: verdict{by: Webhook, name: `"x</script>"`}},
	} {
		for _, a := range Catalogue() {
			if a.ID == sample.attack {
				item := Result{Attack: a.ID, Rule: string(a.Rule), Section: r.sections[a.Rule], Does: a.Does, Technique: a.Technique}
				item.set(&sample.v)
				item.WithoutUs, item.Forbidden, item.Note = without(&sample.v, &a), sample.forbidden, sample.note
				r.Items = append(r.Items, item)
			}
		}
	}
	return r.Report
}

func TestFormats(t *testing.T) {
	for _, format := range []string{command.FormatText, command.FormatJSON, command.FormatJUnit, formatSARIF, formatHTML} {
		var out bytes.Buffer
		if err := sample().Write(&out, command.NewOutput(format)); err != nil {
			t.Fatal(err)
		}
		commandtest.Golden(t, "formats/report."+format, out.Bytes(), *update)
	}
}

func TestExitCodes(t *testing.T) {
	item := func(by Stopper, forbidden, failed bool) Result {
		return Result{by: by, Forbidden: forbidden, Failed: failed}
	}
	for _, test := range []struct {
		name  string
		items []Result
		code  int
	}{
		{"everything is stopped", []Result{item(Here, true, false), item(NotTried, false, false)}, 0},
		{"something passes that no policy forbids", []Result{item(Nobody, false, false)}, 0},
		{"something passes that a policy forbids", []Result{item(Nobody, true, false), item(NotTried, true, true)}, 1},
		{"something failed", []Result{item(Here, true, false), item(NotTried, false, true)}, 2},
		{"nothing could be tried", []Result{item(NotTried, false, false)}, 2},
	} {
		if got := command.ExitCode((&Report{Items: test.items}).Err()); got != test.code {
			t.Errorf("%s: exit code %d, want %d", test.name, got, test.code)
		}
	}
}
