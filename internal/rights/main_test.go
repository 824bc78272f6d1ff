// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rights

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/internal/access"
	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/commandtest"
	"noderestriction.plus/internal/nodeauthorizer"
	"noderestriction.plus/internal/rbac"
)

var update = flag.Bool("update", false, "rewrite generated pages and the files with which scripts compare output")

func root() *cobra.Command { return command.Plugin(command.ByKubectl, Command()) }

func TestMain(m *testing.M) { commandtest.Main(m, root) }

// TestScripts runs what a user could type.
func TestScripts(t *testing.T) { commandtest.Scripts(t, *update) }

func TestHelpFitsATerminal(t *testing.T) { commandtest.Help(t, root()) }

// hostile is what an authorizer, or the author of a role, may write.
const hostile = "\x1b[2J</td><script>alert(1)</script>\u202e"

func nodes() rbacv1.Subject { return rbacv1.Subject{Kind: "Group", Name: authorization.NodesGroup} }

// newAnalysis returns an analysis with a ClusterRole that is bound to all nodes by the name of the binding.
func newAnalysis(t *testing.T, binding, role string, rules ...rbacv1.PolicyRule) *analysis {
	t.Helper()
	table, err := nodeauthorizer.New(nodeauthorizer.Newest, nil)
	if err != nil {
		t.Fatal(err)
	}
	grants := rbac.New(&rbac.Snapshot{
		ClusterRoles: []rbacv1.ClusterRole{{ObjectMeta: metav1.ObjectMeta{Name: role}, Rules: rules}},
		ClusterRoleBindings: []rbacv1.ClusterRoleBinding{{
			ObjectMeta: metav1.ObjectMeta{Name: binding}, RoleRef: rbacv1.RoleRef{Kind: rbac.ClusterRole, Name: role}, Subjects: []rbacv1.Subject{nodes()},
		}},
	}).Grants(authorization.Kubelet("worker-1"))
	return &analysis{
		node: "worker-1", table: table, links: nodeauthorizer.NewLinks(), grants: grants, candidates: grants,
		now: time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC),
	}
}

func allow(verbs, group, resources string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: strings.Fields(verbs), APIGroups: []string{group}, Resources: strings.Fields(resources)}
}

// sample is a report with a permission of each class. Its texts are hostile.
func sample(t *testing.T) *Report {
	t.Helper()
	a := newAnalysis(t, "k0s"+hostile, "r", allow("get list * "+hostile, "", "secrets pods/log"))
	at := a.now
	r := &Report{
		Envelope: command.Envelope{APIVersion: command.APIVersion, Kind: reportKind}, Node: "worker-1", How: HowLive, Server: "https://127.0.0.1:6443",
		ServerVersion: "v1.37.2", Table: "1.37", NodeAuthorizer: nodeOn, Started: &at, Ended: &at, failOn: failWidened,
		Lacking: []Lack{{"list roles.rbac.authorization.k8s.io", "something is not known"}}, Notes: []string{"a note"},
	}
	r.identityTexts("system:node:worker-1"+hostile, []string{"system:nodes", hostile})
	var rights []*Right
	questions, all := a.questions(&nodeauthorizer.Names{Node: "worker-1", OtherNode: "other", Namespace: "kube-system", Unrelated: "x"})
	if !all {
		t.Fatal("questions are left out")
	}
	for i := range questions {
		q := &questions[i]
		said := &answer{Answer: access.Answer{Allowed: true, Reason: hostile}}
		switch q.request.String() {
		case "list secrets", "get pods/log kube-system/x", "get nodes worker-1", "delete pods kube-system/x", "get daemonsets.apps kube-system/x":
		case "create nodes":
			said.Allowed = false
		case "list events":
			said.err = fmt.Errorf("timeout: %s", hostile)
		case "get /api":
			said.Reason = `RBAC: allowed by ClusterRoleBinding "system:discovery" of ClusterRole "system:discovery" to Group "system:authenticated"`
		case "get secrets":
			said = nil
		default:
			if q.cell != nil && !q.untried {
				continue
			}
		}
		rights = append(rights, a.classify(q, said))
	}
	r.finish(rights, true)
	return r
}

func TestFormats(t *testing.T) {
	for _, format := range []string{command.FormatText, command.FormatJSON, formatHTML} {
		var out bytes.Buffer
		r := sample(t)
		var err error
		if format == formatHTML {
			err = r.writeHTML(&out)
		} else {
			err = command.NewOutput(format).Write(&out, r, r.WriteText)
		}
		if err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(out.String(), "\x1b\u202e") || format == formatHTML && strings.Contains(out.String(), "<script>") {
			t.Errorf("%s: hostile text is not escaped", format)
		}
		commandtest.Golden(t, "formats/report."+format, out.Bytes(), *update)
	}
}

// TestClasses tests in which class a permission is, by what the API server says and what RBAC grants.
func TestClasses(t *testing.T) {
	find := func(a *analysis, key string) *question {
		t.Helper()
		questions, _ := a.questions(&nodeauthorizer.Names{
			Node: "worker-1", OtherNode: "other", Namespace: "kube-system", Unrelated: "x",
			Related: map[string]nodeauthorizer.NamespacedName{"secrets": {Namespace: "default", Name: "mine"}},
		})
		for i := range questions {
			if questions[i].request.String() == key && !questions[i].untried {
				return &questions[i]
			}
		}
		t.Fatalf("nobody asks %q", key)
		return nil
	}
	yes := func(reason string) *answer { return &answer{Answer: access.Answer{Allowed: true, Reason: reason}} }
	no := &answer{}
	const k0s, discovery = "system:nodes:autopilot", `RBAC: allowed by ClusterRoleBinding "system:discovery" of ClusterRole "system:discovery" to Group "system:authenticated"`
	for _, test := range []struct {
		name          string
		binding, role string
		rule          rbacv1.PolicyRule
		question      string
		said          *answer
		withoutRBAC   bool
		want          Class
	}{
		{"a permission of its own", "b", "r", allow("get", "", "things"), "get nodes worker-1", yes(""), false, Intended},
		{"a permission of its own that RBAC gives, too", "b", "r", allow("get", "", "nodes"), "get nodes worker-1", yes("RBAC: allowed by x"), false, Intended},
		{"a permission that only admission narrows", "b", "r", allow("get", "", "things"), "delete pods kube-system/x", yes(""), false, Narrowed},
		{"a permission of its own that is refused", "b", "r", allow("get", "", "things"), "get nodes worker-1", no, false, Missing},
		{"the Secret of a pod", "b", "r", allow("get", "", "things"), "get secrets default/mine", yes(""), false, Intended},
		{"another Secret", "b", "r", allow("get", "", "secrets"), "get secrets kube-system/x", yes("RBAC: allowed by x"), false, Widened},
		{"another Secret that is refused", "b", "r", allow("get", "", "things"), "get secrets kube-system/x", no, false, Refused},
		{"RBAC would give it, and another authorizer denies it", "b", "r", allow("get", "", "secrets"), "get secrets kube-system/x", no, false, Refused},
		{"another authorizer gives it", "b", "r", allow("get", "", "things"), "get secrets kube-system/x", yes("because"), false, Widened},
		{"a rule beyond the table", "b", "r", allow("frobnicate", "example.com", "things"), "frobnicate things.example.com", yes("RBAC: allowed by x"), false, Widened},
		{"Kubernetes gives it, by the reason", "b", "r", allow("get", "", "things"), "get /api", yes(discovery), true, Known},
		{"the same reason for something that Kubernetes does not give", "b", "r", allow("get", "", "things"), "get /metrics", yes(discovery), true, Widened},
		{"k0s gives it", k0s, k0s, allow("list", "", "pods"), "list pods", yes("RBAC: allowed by x"), false, Known},
		{"the binding of k0s gives more than that of k0s", k0s, k0s, allow("list", "", "secrets"), "list secrets", yes("RBAC: allowed by x"), false, Widened},
		{"the binding of k0s gives another role", k0s, "r", allow("list", "", "pods"), "list pods", yes("RBAC: allowed by x"), false, Widened},
		{"what kubespray gives is too dangerous to be excused", "kubespray:system:node", "system:node", allow("list", "", "pods"), "list pods", yes("RBAC: allowed by x"), false, Widened},
		{"the API server fails", "b", "r", allow("get", "", "things"), "list pods", &answer{err: os.ErrDeadlineExceeded}, false, Unknown},
		{"an authorizer fails, and none allows it", "b", "r", allow("get", "", "things"), "list pods", &answer{Answer: access.Answer{Error: "down"}}, false, Refused},
		{"a feature gate that is not as by default allows it", "b", "r", allow("get", "", "things"), "get csinodes.storage.k8s.io/status worker-1", yes(""), false, Intended},
		{"a feature gate that is not as by default refuses it", "b", "r", allow("get", "", "things"), "list clustertrustbundles.certificates.k8s.io", no, false, Refused},
		{"offline, the Node authorizer allows it", "b", "r", allow("get", "", "things"), "get nodes worker-1", nil, false, Intended},
		{"offline, RBAC allows it", "b", "r", allow("list", "", "nodes"), "list nodes", nil, false, Widened},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := newAnalysis(t, test.binding, test.role, test.rule)
			q := find(a, test.question)
			if test.withoutRBAC {
				a.grants = nil
			}
			if r := a.classify(q, test.said); r.Class != test.want {
				t.Errorf("%s: %s, want %s: %+v", test.question, r.Class, test.want, r)
			}
		})
	}
}

// TestManyBindings tests that a cluster with very many bindings has a bounded report.
func TestManyBindings(t *testing.T) {
	s := &rbac.Snapshot{}
	for i := range 5000 {
		name := metav1.ObjectMeta{Namespace: fmt.Sprintf("space-%d", i), Name: "r"}
		s.Roles = append(s.Roles, rbacv1.Role{ObjectMeta: name, Rules: []rbacv1.PolicyRule{allow("get list watch", "", "secrets configmaps")}})
		subject := []rbacv1.Subject{nodes()}
		s.RoleBindings = append(s.RoleBindings,
			rbacv1.RoleBinding{ObjectMeta: name, RoleRef: rbacv1.RoleRef{Kind: rbac.Role, Name: "r"}, Subjects: subject},
			rbacv1.RoleBinding{
				ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: "c"}, RoleRef: rbacv1.RoleRef{Kind: rbac.ClusterRole, Name: "c"}, Subjects: subject,
			})
	}
	s.ClusterRoles = []rbacv1.ClusterRole{{ObjectMeta: metav1.ObjectMeta{Name: "c"}, Rules: []rbacv1.PolicyRule{allow("list", "apps", "deployments")}}}
	dump := &Dump{Envelope: command.Envelope{APIVersion: command.APIVersion, Kind: dumpKind}, Minor: 37}
	if err := dump.addRBAC(s); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(dump)
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{}
	if err := readCluster(c, data); err != nil {
		t.Fatal(err)
	}
	r, err := offline(c, &Options{Node: "worker-1", FailOn: failWidened})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Items) > 1000+maxCandidates || r.Counts[Widened] != maxCandidates || !strings.Contains(strings.Join(r.Notes, " "), "the others are left out") {
		t.Errorf("%d items, counts %v, notes %q", len(r.Items), r.Counts, r.Notes)
	}
	for _, write := range []func(*bytes.Buffer) error{
		func(b *bytes.Buffer) error { return r.WriteText(b) }, func(b *bytes.Buffer) error { return r.writeHTML(b) },
	} {
		var out bytes.Buffer
		if err := write(&out); err != nil || out.Len() > 4<<20 {
			t.Errorf("%d bytes: %v", out.Len(), err)
		}
	}
}

// TestSameRoleInManyNamespaces tests that a role that many RoleBindings bind is reported once.
func TestSameRoleInManyNamespaces(t *testing.T) {
	s := &rbac.Snapshot{ClusterRoles: []rbacv1.ClusterRole{{ObjectMeta: metav1.ObjectMeta{Name: "c"}, Rules: []rbacv1.PolicyRule{allow("list", "apps", "deployments")}}}}
	for i := range 100 {
		s.RoleBindings = append(s.RoleBindings, rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: fmt.Sprintf("space-%d", i), Name: "c"}, RoleRef: rbacv1.RoleRef{Kind: rbac.ClusterRole, Name: "c"}, Subjects: []rbacv1.Subject{nodes()},
		})
	}
	r, err := offline(&cluster{snapshot: *s, minor: 37}, &Options{Node: "worker-1", FailOn: failWidened})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.of(Widened); len(got) != 1 || got[0].scope() != "all in space-0 and 99 more namespaces" {
		t.Errorf("%d widened, the first %+v", len(got), got[0])
	}
}

func TestFixIsOnlyForPlainNames(t *testing.T) {
	for name, grant := range map[string]rbac.Grant{
		"a name with a quote":   {BindingKind: rbac.ClusterRoleBinding, Binding: `a'b`, Subject: nodes()},
		"a name with a blank":   {BindingKind: rbac.ClusterRoleBinding, Binding: `a b`, Subject: nodes()},
		"a subject with a name": {BindingKind: rbac.ClusterRoleBinding, Binding: `a`, Subject: rbacv1.Subject{Kind: "User", Name: "$(x)"}},
	} {
		if got := fix(&grant, true); got != "" {
			t.Errorf("%s: %s", name, got)
		}
	}
}
