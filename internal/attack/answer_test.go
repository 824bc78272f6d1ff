// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package attack

import (
	"encoding/json"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestWhoStoppedIt gives the grammar messages that a kube-apiserver 1.37 wrote.
func TestWhoStoppedIt(t *testing.T) {
	const forbidden = `nodes "worker-1" is forbidden: `
	const denied = `admission webhook "gate.noderestriction.plus" denied the request: node "worker-1" violates NodeRestrictionPolicy `
	for _, test := range []struct {
		name    string
		code    int
		reason  metav1.StatusReason
		message string
		by      Stopper
		title   string
		failed  bool
	}{
		{
			name: "the authorizer", code: 403,
			message: forbidden + `User "system:node:worker-1" cannot delete resource "nodes" in API group "" at the cluster scope`,
			by:      Authorizer, title: "authorizer",
		},
		{
			name: "the Node authorizer", code: 403,
			message: `persistentvolumeclaims "a" is forbidden: User "system:node:worker-1" cannot patch resource "persistentvolumeclaims/status" ` +
				`in API group "" in the namespace "b": no relationship found between node 'worker-1' and this object`,
			by: Authorizer, title: "authorizer",
		},
		{
			name: "NodeRestriction about another Node", code: 403,
			message: `nodes "worker-2" is forbidden: node "worker-1" is not allowed to modify node "worker-2"`,
			by:      NodeRestriction, title: "NodeRestriction",
		},
		{
			name: "NodeRestriction about labels", code: 403,
			message: forbidden + "is not allowed to modify labels: node-restriction.kubernetes.io/pci", by: NodeRestriction, title: "NodeRestriction",
		},
		{
			name: "NodeRestriction about leases", code: 403,
			message: `leases.coordination.k8s.io "a" is forbidden: can only access node lease with the same name as the requesting node`,
			by:      NodeRestriction, title: "NodeRestriction",
		},
		{
			name: "NodeRestriction about pods", code: 403,
			message: `pods "a" is forbidden: node worker-1 can only evict pods with spec.nodeName set to itself`, by: NodeRestriction, title: "NodeRestriction",
		},
		{
			name: "NodeRestriction about certificates of pods", code: 403,
			message: `podcertificaterequests.certificates.k8s.io "a" is forbidden: pod "b/c" is not running on node "worker-1" named in the ` +
				`PodCertificateRequest`,
			by: NodeRestriction, title: "NodeRestriction",
		},
		{
			name: "what looks like NodeRestriction for another node", code: 403,
			message: forbidden + `node "worker-2" is not allowed to modify taints`, by: Admission, title: "admission",
		},
		{
			name: "one rule of a policy", code: 403, message: denied + `"a": node labels (must not add "b")`, by: Here, title: "a/node-labels",
		},
		{
			name: "several rules, and one quotes a parenthesis", code: 403,
			message: denied + `"a": node labels (must not add "b), node taints (c"), node finalizers (must not add "d"); NodeRestrictionPolicy "e": node ...`,
			by:      Here, title: "a/node-labels, node-finalizers",
		},
		{
			name: "a message that is cut", code: 403, message: denied + `"a": node labels (must not add "bbb...`, by: Here, title: "a/node-labels",
		},
		{
			name: "another webhook with a code of its own", code: 400, message: `admission webhook "x.example.com" denied the request: NodeRestrictionPolicy "a": node labels (`,
			by: Webhook, title: `webhook "x.example.com"`,
		},
		{
			name: "a ValidatingAdmissionPolicy", code: 422, reason: metav1.StatusReasonInvalid,
			message: forbidden + `ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no`, by: VAP, title: `VAP "p"`,
		},
		{
			name: "the floor", code: 403,
			message: forbidden + `ValidatingAdmissionPolicy 'node-restriction-plus.x' with binding 'b' denied request: no`,
			by:      Here, title: `here: "node-restriction-plus.x"`,
		},
		{
			name: "another plugin", code: 403, message: `pods "a" is forbidden: violates PodSecurity "restricted:latest": privileged`,
			by: Admission, title: "admission",
		},
		{
			name: "no permission to impersonate", code: 403,
			message: `users "system:node:worker-1" is forbidden: User "a" cannot impersonate resource "users" in API group "" at the cluster scope`,
			by:      NotTried, title: "not tried", failed: true,
		},
		{
			name: "no permission to do this while impersonating", code: 403,
			message: forbidden + `User "a" cannot impersonate-on:arbitrary-node:patch resource "nodes/status" in API group "" at the cluster scope`,
			by:      NotTried, title: "not tried", failed: true,
		},
		{
			name: "a webhook with side effects", code: 400, message: `admission webhook "x" does not support dry run`, by: NotTried, title: "not tried",
			failed: true,
		},
		{
			name: "a webhook that does not answer", code: 500, by: NotTried, title: "not tried", failed: true,
			message: `Internal error occurred: failed calling webhook "gate.noderestriction.plus": Post "https://x": dial tcp: refused`,
		},
		{name: "an object that exists", code: 409, reason: metav1.StatusReasonAlreadyExists, message: `nodes "a" already exists`, title: "NOBODY"},
		{name: "a conflict", code: 409, reason: metav1.StatusReasonConflict, message: "conflict", by: NotTried, title: "not tried", failed: true},
		{name: "an object that is not valid", code: 422, message: "is invalid", by: APIServer, title: "API server"},
		{name: "an object that is gone", code: 404, message: "not found", by: NotTried, title: "not tried"},
		{name: "too many requests", code: 429, message: "slow down", by: NotTried, title: "not tried", failed: true},
		{name: "no Status at all", code: 502, by: NotTried, title: "not tried", failed: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			body, err := json.Marshal(metav1.Status{
				TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Reason: test.reason, Message: test.message,
			})
			if err != nil {
				t.Fatal(err)
			}
			v := verdictOf("worker-1", patchOf("nodes", "status", nil, nil), test.code, body)
			if v.by != test.by || v.title() != test.title || v.failed != test.failed {
				t.Errorf("got %q, %q, failed %v", v.by, v.title(), v.failed)
			}
		})
	}
}

// TestHostileAnswers checks that what a server says is bounded and printable.
func TestHostileAnswers(t *testing.T) {
	for _, message := range []string{
		"\x1b[2J" + strings.Repeat("a", 1<<20), `admission webhook "gate.noderestriction.plus" denied the request: x violates NodeRestrictionPolicy "` +
			"\x1b[2J" + `": node labels (`,
	} {
		body, err := json.Marshal(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status"}, Message: message})
		if err != nil {
			t.Fatal(err)
		}
		v := verdictOf("worker-1", patchOf("nodes", "", nil, nil), 403, body)
		if out := v.title() + v.detail; len(out) > 3*maxDetail || strings.Contains(out, "\x1b") {
			t.Errorf("got %d bytes: %.100q", len(out), out)
		}
	}
}

// TestPassing checks when a change that the API server accepts is in its answer.
func TestPassing(t *testing.T) {
	stored := object{"metadata": object{"name": "a", "finalizers": []any{"b"}}}
	for _, test := range []struct {
		name, answer string
		patch        object
		by           Stopper
	}{
		{"it has the change", `{"metadata":{"finalizers":["b","c"]}}`, metadata(object{"finalizers": []any{"b", "c"}}), Nobody},
		{"it does not have the change", `{"metadata":{"finalizers":["b"]}}`, metadata(object{"finalizers": []any{"b", "c"}}), APIServer},
		{"it has a field that was to be removed", `{"spec":{"a":true}}`, spec(object{"a": nil}), APIServer},
		{"it omits what is empty", `{"spec":{}}`, spec(object{"a": false, "b": []any{}}), Nobody},
		{"it has a number", `{"status":{"a":{"Port":6443}}}`, status(object{"a": object{"Port": int64(6443)}}), Nobody},
		{"it has other elements of objects, too", `{"status":{"a":[{"b":"c","d":"e"},{}]}}`, status(object{"a": []any{object{"b": "c"}}}), Nobody},
		{"it is no JSON", `x`, nil, NotTried},
	} {
		t.Run(test.name, func(t *testing.T) {
			if v := verdictOf("a", patchOf("nodes", "", stored, test.patch), 200, []byte(test.answer)); v.by != test.by {
				t.Errorf("got %q, want %q: %s", v.by, test.by, v.detail)
			}
		})
	}
}
