// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"bytes"
	"flag"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/commandtest"
	"noderestriction.plus/internal/doctor/checks"
	"noderestriction.plus/internal/rbac"
)

var update = flag.Bool("update", false, "rewrite generated pages and the files with which scripts compare output")

func root() *cobra.Command { return command.Plugin(command.ByKubectl, Command()) }

func TestMain(m *testing.M) { commandtest.Main(m, root) }

// TestScripts runs what a user could type.
func TestScripts(t *testing.T) { commandtest.Scripts(t, *update) }

func TestHelpFitsATerminal(t *testing.T) { commandtest.Help(t, root()) }

// sample is a report with findings of each kind. Its texts are hostile.
func sample() *Report {
	permission := authorization.Request{Verb: "list", Resource: "nodes"}
	unknown := &checks.Unknown{Permissions: []authorization.Request{permission}}
	s := &checks.Snapshot{
		Now: time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC), User: authorization.Identity{User: "somebody"}, Node: "worker-1",
		Versions: checks.Fact[[]string]{Value: []string{"v1.37.2"}},
		ClusterRoles: checks.Fact[[]rbacv1.ClusterRole]{Value: []rbacv1.ClusterRole{{
			ObjectMeta: metav1.ObjectMeta{Name: "<b>"}, Rules: []rbacv1.PolicyRule{{
				Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"secrets", "nodes/proxy"},
			}},
		}}},
		ClusterRoleBindings: checks.Fact[[]rbacv1.ClusterRoleBinding]{Value: []rbacv1.ClusterRoleBinding{{
			ObjectMeta: metav1.ObjectMeta{Name: "it's </pre><script> ]]>"}, RoleRef: rbacv1.RoleRef{Kind: rbac.ClusterRole, Name: "<b>"},
			Subjects: []rbacv1.Subject{{Kind: "Group", Name: "system:authenticated"}, {Kind: "ServiceAccount", Namespace: "a", Name: "b"}},
		}}},
		Tokens:    checks.Fact[[]checks.Token]{Value: []checks.Token{{Name: "bootstrap-token-abcdef", ContentSet: true, Signs: true}}},
		NodeProbe: checks.Fact[checks.NodeProbe]{Unknown: &checks.Unknown{Why: "it needs the dry run of --probe"}},
	}
	s.Nodes.Unknown, s.CSRs.Unknown = unknown, unknown
	skip := []string{
		"authz-always-allow", "node-authorizer", "deny-authorizer", "bypass-us", "kubelet-config", "kubelet-live", "audit", "mint-node",
		"csr-other-signers", "others-in-path",
	}
	return Diagnose(s, "https://127.0.0.1:6443", skip)
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

// TestCommandsAreNotWrapped tests that each command of the text output is one line, as it is in the finding.
func TestCommandsAreNotWrapped(t *testing.T) {
	var out bytes.Buffer
	r := sample()
	if err := r.WriteText(&out); err != nil {
		t.Fatal(err)
	}
	commands := 0
	for _, f := range r.Items {
		for _, e := range f.Evidence {
			if e.Fix.Command == "" {
				continue
			}
			commands++
			if !strings.Contains(out.String(), "\n        "+e.Fix.Command+"\n") {
				t.Errorf("%s: the text does not have the line %s", f.Check, e.Fix.Command)
			}
		}
	}
	if commands < 3 {
		t.Errorf("only %d commands", commands)
	}
}

func TestExitCodes(t *testing.T) {
	items := func(verdicts ...checks.Verdict) *Report {
		r := &Report{}
		for _, v := range verdicts {
			r.Items = append(r.Items, checks.Finding{Verdict: v})
		}
		return r
	}
	for _, test := range []struct {
		name string
		r    *Report
		code int
	}{
		{"everything is ok", items(checks.OK, checks.OK), 0},
		{"something is weak, and one check cannot tell", items(checks.Weak, checks.CannotTell), 0},
		{"something is bad", items(checks.CannotTell, checks.Bad, checks.OK), command.CodeNo},
		{"no check can tell anything", items(checks.CannotTell, checks.CannotTell), command.CodeNoAnswer},
	} {
		if got := command.ExitCode(test.r.Err()); got != test.code {
			t.Errorf("%s: exit code %d, want %d", test.name, got, test.code)
		}
	}
}
