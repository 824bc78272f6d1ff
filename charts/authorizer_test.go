// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/load"
	"k8s.io/apiserver/pkg/apis/apiserver/validation"
	authorizationcel "k8s.io/apiserver/pkg/authorization/cel"
	"k8s.io/apiserver/pkg/cel/environment"
	"pgregory.net/rapid"

	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/authorizer"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/nodeauthorizer"
)

// compilers returns the API server's compilers of match conditions: that of the oldest release that reads the file, and the current one.
func compilers() map[string]authorizationcel.Compiler {
	return map[string]authorizationcel.Compiler{
		"1.30":    authorizationcel.NewCompiler(environment.MustBaseEnvSet(version.MajorMinor(1, 30))),
		"current": authorizationcel.NewDefaultCompiler(),
	}
}

// matcher compiles the conditions of an entry as an API server does.
func matcher(t *testing.T, compiler authorizationcel.Compiler, e *authorizer.Entry) *authorizationcel.CELMatcher {
	t.Helper()
	var conditions []apiserver.WebhookMatchCondition
	for _, c := range e.Conditions() {
		conditions = append(conditions, apiserver.WebhookMatchCondition{Expression: c})
	}
	m, errs := validation.ValidateAndCompileMatchConditions(compiler, conditions)
	if len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	return m
}

// allKept are the permissions that all distributions keep.
func allKept() []authorizer.Permission {
	var kept []authorizer.Permission
	for _, d := range authorizer.Distributions() {
		kept = append(kept, d.Kept...)
	}
	return append(kept,
		authorizer.Permission{Verbs: []string{"*"}, Groups: []string{"", "apps"}, Resources: []string{"pods/log", "nodes", "deployments"}},
		authorizer.Permission{Verbs: []string{"get", "post"}, Paths: []string{"/metrics", "/debug/*", "/it's\\"}},
	)
}

// TestTheEntryDeniesWhatItSays draws requests. An API server must deny a kubelet's, by an error of the last condition, exactly if the
// entry says so, and must skip the entry for all other users.
func TestTheEntryDeniesWhatItSays(t *testing.T) {
	for _, e := range []*authorizer.Entry{authorizer.NewEntry(), authorizer.NewEntry(allKept()...)} {
		for name, compiler := range compilers() {
			m := matcher(t, compiler, e)
			verdicts := map[bool]int{}
			rapid.Check(t, func(t *rapid.T) {
				request, user := drawRequest(t), rapid.SampledFrom([]string{
					"system:node:a", "system:node:", "system:node:'\\\n", "system:nodes", "system:node", "kubelet", "alice", "x-system:node:a", "",
				}).Draw(t, "user")
				matched, err := m.Eval(context.Background(), &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
					User: user, ResourceAttributes: request.ResourceAttributes(), NonResourceAttributes: request.NonResourceAttributes(),
				}})
				if matched {
					t.Fatalf("%s: %s of %q would call the webhook", name, request.String(), user)
				}
				want := strings.HasPrefix(user, authorization.NodeUserPrefix) && e.Denies(&request)
				verdicts[want]++
				if (err != nil) != want {
					t.Fatalf("%s: %s of %q: %v, want denied: %t", name, request.String(), user, err, want)
				}
				if want && !strings.Contains(err.Error(), "kubelets may do only what the Node authorizer allows: "+user) {
					t.Fatalf("%s: the error does not say why: %v", name, err)
				}
			})
			if verdicts[true] == 0 || verdicts[false] == 0 {
				t.Errorf("%s: not both verdicts were drawn: %v", name, verdicts)
			}
		}
	}
}

// drawRequest draws a request of the kinds that tables and permissions name, or one that differs from them.
func drawRequest(t *rapid.T) authorization.Request {
	text := func(label string, values ...string) string { return rapid.SampledFrom(values).Draw(t, label) }
	verb := text("verb", "get", "list", "watch", "create", "update", "delete", "*", "post", "request-serviceaccounts-token-audience",
		"request-serviceaccounts-podcertificate-signer")
	if rapid.Bool().Draw(t, "path") {
		return authorization.Request{Verb: verb, Path: text("path", "/api", "/api/", "/api/v1", "/apis", "/apisx", "/apis/apps/v1", "/version",
			"/version/", "/version/x", "/healthz", "/healthz/etcd", "/openapi/v3", "/metrics", "/metrics/x", "/debug/", "/debug/pprof", "/it's\\", "/")}
	}
	return authorization.Request{
		Verb: verb, Group: text("group", "", "apps", "certificates.k8s.io", "authorization.k8s.io", "authentication.k8s.io", "discovery.k8s.io"),
		Resource: text("resource", "pods", "nodes", "deployments", "configmaps", "endpointslices", "certificatesigningrequests",
			"selfsubjectreviews", "selfsubjectaccessreviews", "subjectaccessreviews", "https://vault"),
		Subresource: text("subresource", "", "", "", "log", "status", "selfnodeclient", "selfnodeserver", "nodeclient"),
		Namespace:   text("namespace", "", "kube-system", "default"),
		Name:        text("name", "", "kubeadm-config", "kubelet-config", "kube-proxy", "other"),
	}
}

// TestTheEntryDeniesEveryRefusedCell evaluates the conditions for everything that the Node authorizer of each release refuses.
func TestTheEntryDeniesEveryRefusedCell(t *testing.T) {
	e := authorizer.NewEntry()
	m := matcher(t, authorizationcel.NewDefaultCompiler(), e)
	names := &nodeauthorizer.Names{Node: "a", OtherNode: "b", Namespace: "kube-system", Unrelated: "x"}
	who := authorization.Kubelet("a")
	for minor := nodeauthorizer.Oldest; minor <= nodeauthorizer.Newest; minor++ {
		table, err := nodeauthorizer.New(minor, nil)
		if err != nil {
			t.Fatal(err)
		}
		kept := 0
		for _, cell := range table.Cells() {
			request, _ := cell.Request(names)
			if cell.Intent != nodeauthorizer.Refused {
				continue
			}
			_, err := m.Eval(t.Context(), &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
				User: who.User, Groups: who.Groups, ResourceAttributes: request.ResourceAttributes(), NonResourceAttributes: request.NonResourceAttributes(),
			}})
			if err == nil {
				kept++
				if cell.Danger > nodeauthorizer.Low {
					t.Errorf("1.%d: %s is left to RBAC, and is dangerous: %s", minor, cell.Key(), cell.Why)
				}
			}
		}
		if kept == 0 || kept > 20 {
			t.Errorf("1.%d: %d cells are left to RBAC", minor, kept)
		}
	}
}

// TestAPIServersAcceptTheConfiguration loads and validates what the command prints as an API server does, for each distribution.
func TestAPIServersAcceptTheConfiguration(t *testing.T) {
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, d := range append(authorizer.Distributions(), authorizer.Distribution{}) {
		for _, release := range []string{"1.30", "1.31", "1.32", "1.37"} {
			args := []string{"authorizer", "generate", "--kubeconfig-path", kubeconfig, "--kubernetes", release}
			if d.Name != "" {
				args = append(args, "--distribution", d.Name)
			}
			root := command.Plugin(command.ByKubectl, authorizer.Command())
			var out bytes.Buffer
			root.SetOut(&out)
			root.SetArgs(args)
			if err := root.Execute(); (err != nil) != (d.Unusable != "") {
				t.Errorf("%s: %v", d.Name, err)
			} else if err != nil {
				continue
			}
			configuration, err := load.LoadFromData(out.Bytes())
			if err != nil {
				t.Fatalf("%s, %s: %v", d.Name, release, err)
			}
			for name, compiler := range compilers() {
				errs := validation.ValidateAuthorizationConfiguration(compiler, nil, configuration,
					sets.New("Node", "RBAC", "Webhook"), sets.New("Webhook"))
				if len(errs) > 0 {
					t.Errorf("%s, %s, conditions of %s: %v", d.Name, release, name, errs.ToAggregate())
				}
			}
			if len(configuration.Authorizers) != 3 || configuration.Authorizers[1].Webhook.FailurePolicy != apiserver.FailurePolicyDeny {
				t.Errorf("%s, %s: %+v", d.Name, release, configuration)
			}
		}
	}
}
