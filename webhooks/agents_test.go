// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package webhooks_test

import (
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

// agentSet is a set of a policy for kubelets and one for the service account kube-system/cni.
func agentSet(t testing.TB, actions ...v1alpha1.ValidationAction) *policy.Set {
	t.Helper()
	agents, errs := rules.NewCompiler().Compile(&v1alpha1.NodeRestrictionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "agents", Generation: 1},
		Spec: v1alpha1.NodeRestrictionPolicySpec{
			ValidationActions: actions,
			Subjects: &v1alpha1.Subjects{
				ServiceAccounts:  []v1alpha1.ServiceAccount{{Namespace: "kube-system", Name: "cni"}},
				UsernamePrefixes: []v1alpha1.UsernamePrefix{"system:ovn-node:"},
			},
			Nodes: v1alpha1.NodeRules{Self: &v1alpha1.NodeSelf{}},
		},
	})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return policy.NewSet(append(compiled(t, nil).Policies(), agents)...)
}

// byAgent is a review in which a user puts a finalizer on the Node worker-1, given the extra of the user.
func byAgent(user, extra string) string {
	const object = `{"metadata":{"name":"worker-1","finalizers":["example.com/x"]}}`
	return strings.Replace(review("u-1", user, "worker-1", object), `"groups":["system:nodes"]`, `"extra":{`+extra+`}`, 1)
}

func TestNodeAgents(t *testing.T) {
	const cni, node = "system:serviceaccount:kube-system:cni", `"authentication.kubernetes.io/node-name":`
	const by = `node agent "kube-system/cni"`
	const withoutNode = by + ` violates NodeRestrictionPolicy "agents": without node (must use a credential that names its node)`
	for name, test := range map[string]struct {
		user, extra     string
		message         string // empty: allowed
		subject         policy.SubjectKind
		account, onNode string
	}{
		"an agent on its node": {cni, node + `["worker-1"]`, "", "", "", ""},
		"an agent on another node": {
			cni, node + `["worker-2"]`,
			by + ` on "worker-2" violates NodeRestrictionPolicy "agents": node self (must not write Node "worker-1")`,
			policy.ServiceAccount, "kube-system/cni", "worker-2",
		},
		"a token that is bound to no node": {cni, `"a":["b"]`, withoutNode, policy.ServiceAccount, "kube-system/cni", ""},
		"a token of two nodes":             {cni, node + `["worker-1","worker-1"]`, withoutNode, policy.ServiceAccount, "kube-system/cni", ""},
		"a token of an empty node":         {cni, node + `[""]`, withoutNode, policy.ServiceAccount, "kube-system/cni", ""},
		"a token of no value":              {cni, node + `[]`, withoutNode, policy.ServiceAccount, "kube-system/cni", ""},
		"a node name that no Node can have": {
			cni, node + `["` + strings.Repeat("n", 254) + `"]`, withoutNode, policy.ServiceAccount, "kube-system/cni", "",
		},
		"another service account":         {cni + "-other", node + `["worker-2"]`, "", "", "", ""},
		"a service account of its name":   {"system:serviceaccount:default:cni", node + `["worker-2"]`, "", "", "", ""},
		"an agent with its certificate":   {"system:ovn-node:worker-1", "", "", "", "", ""},
		"a user named like no service":    {"system:serviceaccount:kube-system", node + `["worker-2"]`, "", "", "", ""},
		"an administrator":                {"admin", node + `["worker-2"]`, "", "", "", ""},
		"a controller with the colons":    {"system:kube-controller-manager", "", "", "", "", ""},
		"a prefix that is not a policy's": {"system:ovn:worker-2", "", "", "", "", ""},
		"an agent with the certificate of another node": {
			"system:ovn-node:worker-2", "",
			`node agent "system:ovn-node:worker-2" on "worker-2" violates NodeRestrictionPolicy "agents": node self (must not write Node "worker-1")`,
			policy.UsernamePrefix, "system:ovn-node:worker-2", "worker-2",
		},
		// Constrained impersonation makes an agent the kubelet of its node, whatever its extra says.
		"an agent that impersonates its node": {
			"system:node:worker-1", node + `["worker-1"]`, violates + `node finalizers (must not add "example.com/x")`, "", "", "worker-1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, options{policies: &store{set: agentSet(t, v1alpha1.Deny)}})
			_, got := r.post(t, byAgent(test.user, test.extra), nil)
			records := r.denials.records(t)
			if test.message == "" {
				if !got.Response.Allowed || len(records) > 0 {
					t.Errorf("got %+v, %+v", got.Response.Result, records)
				}
				return
			}
			if got.Response.Allowed || got.Response.Result.Message != test.message || got.Response.Result.Code != http.StatusForbidden {
				t.Errorf("got %+v", got.Response.Result)
			}
			if len(records) != 1 {
				t.Fatalf("got %d records", len(records))
			}
			if rec := records[0]; rec.Subject != test.subject || rec.Account != test.account || rec.Node != test.onNode || rec.User != test.user {
				t.Errorf("the record is %+v", rec)
			}
		})
	}
}

// TestAnAgentWithoutANodeMayBeRecordedOnly checks that withoutNode: Allow allows what Deny denies, and records it whatever the actions.
func TestAnAgentWithoutANodeMayBeRecordedOnly(t *testing.T) {
	p, errs := rules.NewCompiler().Compile(&v1alpha1.NodeRestrictionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "agents", Generation: 1},
		Spec: v1alpha1.NodeRestrictionPolicySpec{
			ValidationActions: []v1alpha1.ValidationAction{v1alpha1.Deny},
			Subjects: &v1alpha1.Subjects{
				ServiceAccounts: []v1alpha1.ServiceAccount{{Namespace: "kube-system", Name: "cni"}}, WithoutNode: v1alpha1.AccessAllow,
			},
			Nodes: v1alpha1.NodeRules{Self: &v1alpha1.NodeSelf{}},
		},
	})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	r := newRig(t, options{policies: &store{set: policy.NewSet(p)}})
	_, got := r.post(t, byAgent("system:serviceaccount:kube-system:cni", ""), nil)
	if !got.Response.Allowed || got.Response.AuditAnnotations["decision"] != "audited" || got.Response.AuditAnnotations["rule"] != "without-node" {
		t.Errorf("got %+v", got.Response)
	}
	if records := r.denials.records(t); len(records) != 1 || records[0].Msg != policy.Audited || records[0].Violations[0].Action != "Audit" {
		t.Errorf("the records are %+v", records)
	}
}

// TestAgentsBeforeTheFirstSync checks that what could be an agent's write is refused with an error until it is known who is one, so that
// the API server applies its failurePolicy.
func TestAgentsBeforeTheFirstSync(t *testing.T) {
	r := newRig(t, options{policies: &store{}})
	response, _ := r.post(t, byAgent("system:serviceaccount:kube-system:cni", ""), nil)
	if response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("got status %d, want 503", response.StatusCode)
	}
}

// TestInvariantLForAgents checks that repeated denials of agents have one record each, and that the short form as well
// distinguishes two agents on one node.
func TestInvariantLForAgents(t *testing.T) {
	r := newRig(t, options{policies: &store{set: agentSet(t, v1alpha1.Deny)}})
	const each = 15
	fingerprints := map[string]map[string]bool{}
	for _, user := range []string{"system:serviceaccount:kube-system:cni", "system:ovn-node:worker-2"} {
		for range each {
			_, got := r.post(t, byAgent(user, `"authentication.kubernetes.io/node-name":["worker-2"]`), nil)
			if got.Response.Allowed {
				t.Fatal("the write is allowed")
			}
		}
	}
	records := r.denials.records(t)
	for i, rec := range records {
		if rec.Seq != uint64(i)+1 {
			t.Errorf("record %d has the number %d", i+1, rec.Seq)
		}
		if fingerprints[rec.Fingerprint] == nil {
			fingerprints[rec.Fingerprint] = map[string]bool{}
		}
		if rec.Account != "" {
			fingerprints[rec.Fingerprint][rec.Account] = true
		}
	}
	if n := r.metric(t, "denials_total"); len(records) != 2*each || n != 2*each {
		t.Errorf("%d records, and denials_total is %v, want %d", len(records), n, 2*each)
	}
	if len(fingerprints) != 2 {
		t.Errorf("there are %d fingerprints, want one for each agent", len(fingerprints))
	}
	for fingerprint, accounts := range fingerprints {
		if len(accounts) != 1 {
			t.Errorf("fingerprint %s stands for %v", fingerprint, accounts)
		}
	}
}
