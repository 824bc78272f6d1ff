// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"sigs.k8s.io/yaml"
)

// recorded is the recorded cluster as JSON, which is read for each fixture.
var recorded = sync.OnceValues(func() ([]byte, error) {
	data, err := os.ReadFile(filepath.Join("testdata", "stock.yaml"))
	if err != nil {
		return nil, err
	}
	return yaml.YAMLToJSONStrict(data)
})

// stockCluster returns the recorded cluster as a tree.
func stockCluster(t testing.TB) map[string]any {
	t.Helper()
	data, err := recorded()
	if err != nil {
		t.Fatal(err)
	}
	var tree map[string]any
	if err := json.Unmarshal(data, &tree); err != nil {
		t.Fatal(err)
	}
	return tree
}

func readYAML(t testing.TB, path string, into any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(data, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// fixture is a cluster that differs from the recorded one.
type fixture struct {
	About string `json:"about"`
	// Set has values by their paths.
	Set map[string]any `json:"set"`
	// Objects are added, and Remove are the kinds and names of those that are gone.
	Objects []map[string]any `json:"objects"`
	Remove  []string         `json:"remove"`
	// Answers are added to those of the API server, or replace them.
	Answers []map[string]any `json:"answers"`
	// Says is a part of what the check must say.
	Says string `json:"says"`
}

func (x *fixture) snapshot(t testing.TB) *Snapshot {
	t.Helper()
	tree := stockCluster(t)
	for _, path := range slices.Sorted(maps.Keys(x.Set)) {
		setAt(t, tree, strings.Split(path, "/"), x.Set[path])
	}
	lists := map[string]string{
		"ClusterRole": "clusterRoles", "ClusterRoleBinding": "clusterRoleBindings", "Role": "roles", "RoleBinding": "roleBindings",
		"DaemonSet": "daemonSets", "ValidatingWebhookConfiguration": "validating", "MutatingWebhookConfiguration": "mutating",
	}
	for _, o := range x.Objects {
		list, found := lists[o["kind"].(string)]
		if !found {
			t.Fatalf("objects of the kind %s are not read", o["kind"])
		}
		fact := tree[list].(map[string]any)
		items, _ := fact["value"].([]any)
		fact["value"] = append(items, o)
	}
	for _, name := range x.Remove {
		kind, name, _ := strings.Cut(name, " ")
		fact := tree[lists[kind]].(map[string]any)
		before := fact["value"].([]any)
		after := slices.DeleteFunc(slices.Clone(before), func(o any) bool {
			return o.(map[string]any)["metadata"].(map[string]any)["name"] == name
		})
		if len(after) != len(before)-1 {
			t.Fatalf("there is no %s %s to remove", kind, name)
		}
		fact["value"] = after
	}
	s := &Snapshot{}
	decode(t, tree, s)
	for _, o := range x.Answers {
		a := Answer{}
		decode(t, o, &a)
		s.Answers.Value = append(slices.DeleteFunc(s.Answers.Value, func(has Answer) bool {
			return has.Node == a.Node && has.Request == a.Request
		}), a)
	}
	return s
}

// decode reads a tree as a value, and fails for fields that the value does not have.
func decode(t testing.TB, tree, into any) {
	t.Helper()
	data, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		t.Fatal(err)
	}
}

// setAt sets the value at a path, whose parts are fields and indices.
func setAt(t testing.TB, tree any, path []string, value any) {
	t.Helper()
	for i, part := range path {
		last := i == len(path)-1
		switch node := tree.(type) {
		case map[string]any:
			if last {
				node[part] = value
				return
			}
			tree = node[part]
		case []any:
			n, err := strconv.Atoi(part)
			if err != nil || n >= len(node) {
				t.Fatalf("%q has no element %s", path, part)
			}
			if last {
				node[n] = value
				return
			}
			tree = node[n]
		default:
			t.Fatalf("%q: nothing is at %s", path, part)
		}
	}
}
