// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/internal/text"
)

// hostileText is as long as its author likes, and would change a terminal, a page and a shell.
func hostileText() string {
	return "\x1b[2J</td><script>alert(1)</script>'$(reboot)'\u202e\n" + strings.Repeat("A", 1<<20)
}

// hostileCluster has hostile texts wherever somebody can choose one, and as much RBAC as a large cluster.
func hostileCluster(t testing.TB) *Snapshot {
	t.Helper()
	s := (&fixture{}).snapshot(t)
	evil := hostileText()
	for i := range 10_000 {
		name := fmt.Sprintf("\x1b]%d", i)
		s.RoleBindings.Value = append(s.RoleBindings.Value, rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: fmt.Sprintf("space-%d", i%100), Name: name},
			RoleRef:    rbacv1.RoleRef{Kind: "ClusterRole", Name: "cluster-admin"},
			Subjects:   []rbacv1.Subject{{Kind: "Group", Name: "system:nodes"}, {Kind: "ServiceAccount", Name: "a"}},
		})
	}
	s.ClusterRoles.Value = append(s.ClusterRoles.Value, rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: evil},
		Rules: []rbacv1.PolicyRule{{
			Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*", evil},
		}},
	})
	s.ClusterRoleBindings.Value = append(s.ClusterRoleBindings.Value, rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: evil}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: evil},
		Subjects: []rbacv1.Subject{{Kind: "Group", Name: "system:serviceaccounts:" + evil}, {Kind: "Group", Name: "system:authenticated"}},
	})
	for i := range s.Answers.Value {
		s.Answers.Value[i].Allowed, s.Answers.Value[i].Reason = i > 10, evil
	}
	fail := admissionregistrationv1.Fail
	s.Mutating.Value = append(s.Mutating.Value, admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: evil}, Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: evil, FailurePolicy: &fail, Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{"*"}, Rule: admissionregistrationv1.Rule{
					APIGroups: []string{"*"}, APIVersions: []string{"*"}, Resources: []string{"*/*"},
				},
			}},
		}},
	})
	s.Nodes.Value[0].Name, s.Nodes.Value[0].Status.NodeInfo.KubeletVersion = evil, "v1.99."+evil
	s.NodeProbe.Value = NodeProbe{Code: 500, Message: evil}
	s.Tokens.Value = []Token{{Name: evil, ContentSet: true, Signs: true}}
	s.KubeletConfig.Value = "readOnlyPort: 1\nclusterDomain: \"" + strings.Repeat("A", 1<<20) + "\"\n"
	s.Validating.Value[0].Webhooks[0].MatchConditions = append(s.Validating.Value[0].Webhooks[0].MatchConditions,
		admissionregistrationv1.MatchCondition{Name: evil, Expression: evil})
	return s
}

// TestHostileCluster tests that findings are bounded and print on one line each, and that no command has what a shell could take for
// another.
func TestHostileCluster(t *testing.T) {
	s := hostileCluster(t)
	for _, c := range All() {
		f := c.Run(s)
		data, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		if limit := 512 << 10; len(data) > limit {
			t.Errorf("%s: the finding has %d bytes, more than %d", c.ID, len(data), limit)
		}
		if len(f.Evidence) > maxEvidence {
			t.Errorf("%s: %d pieces of evidence", c.ID, len(f.Evidence))
		}
		texts := append([]string{}, f.Notes...)
		for _, e := range f.Evidence {
			texts = append(texts, e.Object, e.Field, e.Says, e.Fix.Command, e.Fix.Note)
		}
		for _, m := range f.Missing {
			texts = append(texts, m.Permission, m.Why, m.Command)
		}
		for _, said := range texts {
			if text.Printable(said) != said {
				t.Errorf("%s: it does not print: %.200q", c.ID, said)
			}
		}
	}
}

// BenchmarkChecks runs all checks on a cluster with 10,000 RoleBindings.
func BenchmarkChecks(b *testing.B) {
	s := hostileCluster(b)
	for b.Loop() {
		for _, c := range All() {
			c.Run(s)
		}
	}
}
