// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"noderestriction.plus/internal/cli"
)

// recipe is a section of docs/cookbook.md with its policies.
type recipe struct {
	title    string
	policies string
	writes   [][]string // kubelet, created object, verdict
	updates  [][]string // node agent, its node, updated Node, verdict
	mistakes [][]string // part of a spec, what check says
}

var (
	cookbookYAML = regexp.MustCompile("(?s)```yaml\n(.*?)```")
	writeRow     = regexp.MustCompile("(?m)^\\| `([a-z0-9-]+)` \\| `(\\{.*\\})` \\| (.*?) \\|$")
	updateRow    = regexp.MustCompile("(?m)^\\| `([a-z0-9-]+/[a-z0-9-]+)` \\| (?:`([a-z0-9-]+)` )?\\| `(\\{.*\\})` \\| (.*?) \\|$")
	mistakeRow   = regexp.MustCompile("(?m)^\\| `(.*?)` \\| (.*?) \\| .* \\|$")
)

// recipes reads the page.
func recipes(t *testing.T) []recipe {
	t.Helper()
	var all []recipe
	sections := strings.Split(string(read(t, "../../docs/cookbook.md")), "\n## ")
	for _, section := range sections[1:] {
		title, text, _ := strings.Cut(section, "\n")
		r := recipe{title: title}
		for _, block := range cookbookYAML.FindAllStringSubmatch(text, -1) {
			r.policies += block[1]
		}
		before, mistakes, found := strings.Cut(text, "| mistake |")
		if !found || r.policies == "" {
			t.Fatalf("%s: there are no policies or no mistakes", title)
		}
		r.writes = writeRow.FindAllStringSubmatch(before, -1)
		r.updates = updateRow.FindAllStringSubmatch(before, -1)
		r.mistakes = mistakeRow.FindAllStringSubmatch(mistakes, -1)
		all = append(all, r)
	}
	return all
}

// TestCookbook holds the page to what the commands say of it.
func TestCookbook(t *testing.T) {
	all := recipes(t)
	if len(all) != 10 {
		t.Errorf("there are %d recipes", len(all))
	}
	writes, updates := 0, 0
	for _, r := range all {
		t.Run(strings.ReplaceAll(r.title, " ", "-"), func(t *testing.T) {
			policies := writeFile(t, "policies.yaml", []byte(r.policies))
			if said := check(t, policies); said != "" {
				t.Errorf("check says %s of the policies", said)
			}
			for _, row := range r.writes {
				if got := create(t, policies, row[1], row[2]); got != row[3] {
					t.Errorf("%s creates %s: %s, and the page says %s", row[1], row[2], got, row[3])
				}
				writes++
			}
			for _, row := range r.updates {
				if got := updateNode(t, policies, row[1], row[2], row[3]); got != row[4] {
					t.Errorf("%s of %q updates %s: %s, and the page says %s", row[1], row[2], row[3], got, row[4])
				}
				updates++
			}
			if len(r.mistakes) < 2 {
				t.Errorf("there are %d mistakes", len(r.mistakes))
			}
			for _, row := range r.mistakes {
				spec := row[1]
				if !strings.HasPrefix(spec, "validationActions") {
					spec = "validationActions: [Deny], " + spec
				}
				policy := "apiVersion: noderestriction.plus/v1alpha1\nkind: NodeRestrictionPolicy\nmetadata: {name: a}\nspec: {" + spec + "}\n"
				if said := check(t, writeFile(t, "mistake.yaml", []byte(policy))); said != row[2] {
					t.Errorf("check says %q of %s, and the page says %s", said, row[1], row[2])
				}
			}
		})
	}
	if writes < 20 {
		t.Errorf("only %d writes were found", writes)
	}
	if updates < 5 {
		t.Errorf("only %d updates by node agents were found", updates)
	}
}

func writeFile(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// run runs a command of kubectl nrp and returns what it prints.
func run(t *testing.T, arguments ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	root := &cobra.Command{Use: "kubectl-nrp", SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(cli.Commands()...)
	root.SetArgs(arguments)
	root.SetOut(&out)
	root.SetErr(&out)
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

// check returns "error", "warning" or "".
func check(t *testing.T, path string) string {
	t.Helper()
	out, err := run(t, "check", path)
	switch {
	case err != nil:
		return "error"
	case strings.Contains(strings.ToLower(out), "warning"):
		return "warning"
	}
	return ""
}

// create returns the decision about an object that a kubelet creates under the policies in a file: allowed, audited, warned or denied. The
// object is a Node, which gets the kubelet's name, or a Pod.
func create(t *testing.T, policies, kubelet, text string) string {
	t.Helper()
	object := unstructured.Unstructured{}
	if err := yaml.UnmarshalStrict([]byte(text), &object.Object); err != nil {
		t.Fatal(err)
	}
	object.SetAPIVersion("v1")
	resource := "pods"
	if object.GetKind() != "Pod" {
		object.SetKind("Node")
		object.SetName(kubelet)
		resource = "nodes"
	}
	raw, err := object.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return decide(t, policies, &admissionv1.AdmissionRequest{
		Name: object.GetName(), Namespace: object.GetNamespace(), Operation: admissionv1.Create,
		Kind:     metav1.GroupVersionKind{Version: "v1", Kind: object.GetKind()},
		Resource: metav1.GroupVersionResource{Version: "v1", Resource: resource},
		UserInfo: authenticationv1.UserInfo{Username: "system:node:" + kubelet, Groups: []string{"system:nodes"}},
		Object:   runtime.RawExtension{Raw: raw},
	})
}

// updateNode returns the decision about what a node agent makes of a Node that has only its name. An agent without a node has a token
// that names none.
func updateNode(t *testing.T, policies, account, node, text string) string {
	t.Helper()
	updated := unstructured.Unstructured{}
	if err := yaml.UnmarshalStrict([]byte(text), &updated.Object); err != nil {
		t.Fatal(err)
	}
	updated.SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: "Node"})
	old := unstructured.Unstructured{}
	old.SetGroupVersionKind(updated.GroupVersionKind())
	old.SetName(updated.GetName())
	user := authenticationv1.UserInfo{
		Username: "system:serviceaccount:" + strings.Replace(account, "/", ":", 1), Groups: []string{"system:serviceaccounts"},
	}
	if node != "" {
		user.Extra = map[string]authenticationv1.ExtraValue{"authentication.kubernetes.io/node-name": {node}}
	}
	request := &admissionv1.AdmissionRequest{
		Name: updated.GetName(), Operation: admissionv1.Update, UserInfo: user,
		Kind:     metav1.GroupVersionKind{Version: "v1", Kind: "Node"},
		Resource: metav1.GroupVersionResource{Version: "v1", Resource: "nodes"},
	}
	var errs [2]error
	request.Object.Raw, errs[0] = updated.MarshalJSON()
	request.OldObject.Raw, errs[1] = old.MarshalJSON()
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	return decide(t, policies, request)
}

// decide returns the decision about a write under the policies in a file.
func decide(t *testing.T, policies string, request *admissionv1.AdmissionRequest) string {
	t.Helper()
	request.UID = "1"
	review, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"}, Request: request,
	})
	if err != nil {
		t.Fatal(err)
	}
	out, err := run(t, "review", "--policy", policies, writeFile(t, "review.json", review))
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var answer admissionv1.AdmissionReview
	if err := json.Unmarshal([]byte(out), &answer); err != nil || answer.Response == nil {
		t.Fatalf("%v: %s", err, out)
	}
	if decision := answer.Response.AuditAnnotations["decision"]; decision != "" {
		return decision
	}
	return "allowed"
}
