// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "rewrite what is made of other files")

const (
	tableBegin = "<!-- Made of values.yaml by make generate. -->\n"
	tableEnd   = "<!-- End of what is made of values.yaml. -->\n"
)

// TestReferenceIsCurrent holds values.schema.json and the table in the README to be what values.yaml makes of them.
func TestReferenceIsCurrent(t *testing.T) {
	root := readValues(t)
	schema, err := json.MarshalIndent(root.schemaOfChart(specOfPolicy(t)), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	compareFile(t, chart+"/values.schema.json", append(schema, '\n'))

	readme, err := os.ReadFile(chart + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(readme), tableBegin)
	_, after, ended := strings.Cut(rest, tableEnd)
	if !found || !ended {
		t.Fatal("README.md has no place for the table of values")
	}
	compareFile(t, chart+"/README.md", []byte(before+tableBegin+root.table()+tableEnd+after))
}

// compareFile fails if a file is not what it should be, or makes it so.
func compareFile(t *testing.T, path string, want []byte) {
	t.Helper()
	have, err := os.ReadFile(path)
	if err == nil && bytes.Equal(have, want) {
		return
	}
	if !*update {
		t.Errorf("%s is not current: run make generate", path)
		return
	}
	if err := os.WriteFile(path, want, 0o644); err != nil {
		t.Fatal(err)
	}
}

// value is an entry of values.yaml: a group if its children have comments, else a value with a default.
type value struct {
	path        string
	description string
	constraints map[string]any // as JSON schema; nil: none
	children    []*value
	fallback    any
}

func (v *value) name() string { return v.path[strings.LastIndex(v.path, ".")+1:] }

var (
	keyLine     = regexp.MustCompile(`^( *)([A-Za-z]\w*):`)
	commentLine = regexp.MustCompile(`^ *# ?(.*)$`)
)

// readValues reads values.yaml. Each value has a comment above it, which may end in a line with @schema and a JSON schema.
func readValues(t *testing.T) *value {
	t.Helper()
	data, err := os.ReadFile(chart + "/values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var defaults map[string]any
	if err := yaml.UnmarshalStrict(data, &defaults); err != nil {
		t.Fatal(err)
	}
	root := &value{fallback: defaults}
	parents := []*value{root} // by depth, two spaces each
	var comment []string
	for line := range strings.SplitSeq(string(data), "\n") {
		if m := commentLine.FindStringSubmatch(line); m != nil {
			comment = append(comment, m[1])
			continue
		}
		if m := keyLine.FindStringSubmatch(line); m != nil && len(comment) > 0 {
			depth := len(m[1]) / 2
			v := newValue(t, parents[depth], m[2], comment)
			parents = append(parents[:depth+1], v)
		}
		comment = nil
	}
	checkComplete(t, root)
	return root
}

func newValue(t *testing.T, parent *value, name string, comment []string) *value {
	t.Helper()
	v := &value{path: strings.TrimPrefix(parent.path+"."+name, "."), fallback: parent.fallback.(map[string]any)[name]}
	var text []string
	for _, line := range comment {
		schema, found := strings.CutPrefix(line, "@schema ")
		if !found {
			text = append(text, line)
		} else if err := json.Unmarshal([]byte(schema), &v.constraints); err != nil {
			t.Fatalf("%s: %v", v.path, err)
		}
	}
	v.description = strings.Join(text, " ")
	parent.children = append(parent.children, v)
	return v
}

// checkComplete fails for a value without a comment beside one with a comment.
func checkComplete(t *testing.T, v *value) {
	t.Helper()
	if len(v.children) == 0 {
		return
	}
	if n := len(v.fallback.(map[string]any)); n != len(v.children) {
		t.Errorf("values.yaml: %q has %d values, but %d with a comment", v.path, n, len(v.children))
	}
	for _, child := range v.children {
		checkComplete(t, child)
	}
}

// schemaOfChart is the schema of all values, with the definitions to which values refer.
func (v *value) schemaOfChart(spec *apiextensionsv1.JSONSchemaProps) map[string]any {
	schema := v.schema()
	schema["$schema"] = "http://json-schema.org/draft-07/schema#"
	schema["definitions"] = map[string]any{
		"imagePullSecret": map[string]any{"anyOf": []any{
			secretName(),
			map[string]any{
				"type": "object", "additionalProperties": false, "required": []any{"name"},
				"properties": map[string]any{"name": secretName()},
			},
		}},
		"policy":              whole.schema(spec),
		"adaptation":          change.schema(spec),
		"agentServiceAccount": whole.schema(itemsAt(spec, "subjects", "serviceAccounts")),
		"agentUsernamePrefix": whole.schema(itemsAt(spec, "subjects", "usernamePrefixes")),
		"agentObject":         whole.schema(itemsAt(spec, "objects")),
	}
	return schema
}

// itemsAt returns the schema of the items of the list at a path of properties.
func itemsAt(schema *apiextensionsv1.JSONSchemaProps, path ...string) *apiextensionsv1.JSONSchemaProps {
	for _, name := range path {
		schema = new(schema.Properties[name])
	}
	return schema.Items.Schema
}

func secretName() map[string]any {
	return map[string]any{"type": "string", "minLength": 1, "maxLength": 253}
}

func (v *value) schema() map[string]any {
	schema := map[string]any{}
	if v.description != "" {
		schema["description"] = v.description
	}
	if len(v.children) > 0 {
		properties, required := map[string]any{}, []string{}
		for _, child := range v.children {
			properties[child.name()] = child.schema()
			if !child.canBeNull() {
				required = append(required, child.name())
			}
		}
		slices.Sort(required)
		schema["type"], schema["additionalProperties"], schema["properties"] = "object", false, properties
		schema["required"] = required
	} else {
		schema["type"] = typeOf(v.fallback)
	}
	for key, constraint := range v.constraints {
		schema[key] = constraint
	}
	return schema
}

// canBeNull reports whether null, with which Helm removes a value, means the same as empty: for objects and lists.
func (v *value) canBeNull() bool {
	kind := typeOf(v.fallback)
	return len(v.children) == 0 && (kind == "object" || kind == "array")
}

func typeOf(fallback any) string {
	switch fallback.(type) {
	case string:
		return "string"
	case bool:
		return "boolean"
	case float64:
		return "integer"
	case []any:
		return "array"
	}
	return "object"
}

// table is a Markdown table of all values.
func (v *value) table() string {
	var b strings.Builder
	b.WriteString("| value | default | meaning |\n|---|---|---|\n")
	v.writeRows(&b)
	return b.String()
}

func (v *value) writeRows(b *strings.Builder) {
	cell := strings.NewReplacer("|", `\|`, "<", "&lt;").Replace
	for _, child := range v.children {
		if len(child.children) > 0 {
			fmt.Fprintf(b, "| **`%s`** | | %s |\n", child.path, cell(child.description))
			child.writeRows(b)
			continue
		}
		fallback, err := json.Marshal(child.fallback)
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(b, "| `%s` | `%s` | %s |\n", child.path, fallback, cell(child.description))
	}
}
