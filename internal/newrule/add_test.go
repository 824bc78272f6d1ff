// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// repository is the root of the repository.
const repository = "../.."

// tree copies the part of the repository that a rule is added to.
func tree(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for _, directory := range []string{"api", "policy/rules"} {
		if err := os.CopyFS(filepath.Join(root, directory), os.DirFS(filepath.Join(repository, directory))); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// testRules runs TestRules with the Go files that were written to a tree, in that tree, and returns the lines with which it fails,
// without the names of files and tests. The packages are compiled where they are, so that their compilations are cached.
func testRules(t *testing.T, root string, written []string) []string {
	t.Helper()
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for _, path := range written {
		if filepath.Ext(path) == ".go" {
			here, err := filepath.Abs(filepath.Join(repository, path))
			if err != nil {
				t.Fatal(err)
			}
			overlay.Replace[here] = filepath.Join(root, path)
		}
	}
	data, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	files, program := filepath.Join(root, "overlay.json"), filepath.Join(root, "rules.test")
	if err := os.WriteFile(files, data, 0o644); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "test", "-c", "-overlay", files, "-o", program, "./policy/rules")
	build.Dir = repository
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("the rule does not compile: %v\n%s", err, out)
	}
	test := exec.Command(program, "-test.run", "^TestRules$")
	test.Dir = filepath.Join(root, "policy", "rules")
	out, err := test.CombinedOutput()
	if err == nil {
		t.Fatal("TestRules passes")
	}
	var lines []string
	for line := range strings.Lines(string(out)) {
		line = regexp.MustCompile(`^\w+\.go:\d+: `).ReplaceAllString(strings.TrimSpace(line), "")
		if line != "" && !regexp.MustCompile(`^(---|FAIL|exit )`).MatchString(line) {
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return lines
}

// complete writes in a file what only a person can write.
func complete(t *testing.T, path string, write func(string) string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(write(string(text))), 0o644); err != nil {
		t.Fatal(err)
	}
}

func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if slices.Sort(want); !slices.Equal(got, want) {
		t.Errorf("TestRules says\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestNewRulesCompileAndAreIncomplete adds a rule of each kind to a copy of the tree. The tests of the rules name exactly what only a
// person can write: first the texts, then the check.
func TestNewRulesCompileAndAreIncomplete(t *testing.T) {
	root := tree(t)
	ids := []string{"node-foo-bar", "mirror-pod-foo-ips", "pod-foo"}
	sections := []string{"spec.nodes.fooBar", "spec.mirrorPods.fooIPs", "spec.pods.foo"}
	var missing, written []string
	for i, id := range ids {
		paths, err := add(root, id)
		if err != nil {
			t.Fatal(err)
		}
		if len(paths) != 5 {
			t.Errorf("%s: wrote %q", id, paths)
		}
		written = append(written, paths...)
		for _, name := range []string{"Title", "Text", "Kubelet", "Attack", "Fields", "Since", "Source"} {
			missing = append(missing, "field Doc."+name+" is empty")
		}
		missing[len(missing)-7] = `rule "` + id + `": field Doc.Title is empty`
		missing = append(missing, "rule "+id+": the CRD has no "+sections[i]+": add it to api/v1alpha1, and run make generate")
		for range 2 {
			missing = append(missing, "the fixture does not begin with a sentence that says what it shows")
		}
	}
	wantLines(t, testRules(t, root, written), missing...)

	missing = nil
	for i, id := range ids {
		source := filepath.Join(root, "policy", "rules", strings.ReplaceAll(id, "-", "_")+".go")
		complete(t, source, func(text string) string {
			text = strings.Replace(text, "[]string{}", `[]string{"metadata.labels"}`, 1)
			return regexp.MustCompile(`(\w+: +)""`).ReplaceAllString(text, `${1}"A text"`)
		})
		for _, verdict := range []string{"allow", "deny"} {
			path := filepath.Join(root, "policy", "rules", "testdata", id, verdict, "first.txtar")
			complete(t, path, func(text string) string { return "A sentence.\n" + text })
		}
		missing = append(missing, "rule "+id+": the CRD has no "+sections[i]+": add it to api/v1alpha1, and run make generate",
			"policy.yaml: line 1: "+sections[i]+": unknown field", "policy.yaml: line 1: "+sections[i]+": unknown field")
	}
	wantLines(t, testRules(t, root, written), missing...)
}

func TestNamesOfRules(t *testing.T) {
	for _, test := range []struct{ name, id, want string }{
		{"the words of an ID are those of its names", "node-foo-bar", "nodeFooBar NodeFooBar fooBar"},
		{"initialisms are capitalized as Go does", "node-pod-cidrs", "nodePodCIDRs NodePodCIDRs podCIDRs"},
		{"an initialism at the beginning of a section is lower case", "pod-ips", "podIPs PodIPs ips"},
		{"mirror pods are not pods", "mirror-pod-names", "mirrorPodNames MirrorPodNames names"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, err := newRule(test.id)
			if err != nil {
				t.Fatal(err)
			}
			if got := r.Function + " " + r.Type + " " + r.Section; got != test.want {
				t.Errorf("names %s, want %s", got, test.want)
			}
		})
	}
}

func TestWrongIDs(t *testing.T) {
	root := tree(t)
	for _, test := range []struct{ name, id, want string }{
		{"an ID has no capitals", "node-fooBar", `ID: "node-fooBar" must be in kebab-case, such as node-foo-bar, of at most 64 characters`},
		{"an ID is not empty", "", `ID: "" must be in kebab-case`},
		{"an ID is no path", "node-../x", `must be in kebab-case`},
		{"an ID is bounded", "node-" + strings.Repeat("a", 60), "of at most 64 characters"},
		{"the prefix decides where the section is", "event-foo", `ID: "event-foo" must begin with node-, mirror-pod- or pod-`},
		{"a rule is not overwritten", "node-labels", `ID: "node-labels" is taken: policy/rules/node_labels.go exists`},
		{
			"a type of another file is not declared twice", "node-address-type",
			`ID: "node-address-type" is taken: nodes_status.go has a type NodeAddressType`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := add(root, test.id)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, want %s", err, test.want)
			}
		})
	}
}
