// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

// specOfPolicy is the schema of a policy's spec in the CRD.
func specOfPolicy(t *testing.T) *apiextensionsv1.JSONSchemaProps {
	t.Helper()
	data, err := os.ReadFile("../config/crd/noderestriction.plus_noderestrictionpolicies.yaml")
	if err != nil {
		t.Fatal(err)
	}
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict(data, crd); err != nil {
		t.Fatal(err)
	}
	spec, found := crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
	if !found {
		t.Fatal("the CRD has no schema of a spec")
	}
	return &spec
}

// form says what a schema made from the CRD accepts.
type form bool

const (
	whole  form = false // a whole object, as the API server does
	change form = true  // a change of an object: any key can be missing, and null removes one
)

// schema returns the JSON schema for s as Helm understands it, without descriptions, defaults, formats and CEL rules. An unknown field is
// an error.
func (f form) schema(s *apiextensionsv1.JSONSchemaProps) map[string]any {
	schema := map[string]any{}
	f.setType(schema, s)
	f.setFields(schema, s)
	setBounds(schema, s)
	if s.Items != nil {
		schema["items"] = whole.schema(s.Items.Schema) // a change replaces the list
	}
	return schema
}

func (f form) setType(schema map[string]any, s *apiextensionsv1.JSONSchemaProps) {
	types := []string{s.Type}
	if s.XIntOrString {
		types = []string{"integer", "string"}
	}
	if f == change || s.Nullable {
		types = append(types, "null")
	}
	if len(types) == 1 {
		schema["type"] = types[0]
	} else {
		schema["type"] = types
	}
	if len(s.Enum) > 0 {
		var values []any
		for _, e := range s.Enum {
			values = append(values, json.RawMessage(e.Raw))
		}
		if f == change || s.Nullable {
			values = append(values, nil)
		}
		schema["enum"] = values
	}
}

func (f form) setFields(schema map[string]any, s *apiextensionsv1.JSONSchemaProps) {
	switch {
	case s.AdditionalProperties != nil:
		schema["additionalProperties"] = f.schema(s.AdditionalProperties.Schema)
	case s.Type == "object" && (s.XPreserveUnknownFields == nil || !*s.XPreserveUnknownFields):
		schema["additionalProperties"] = false
	}
	if len(s.Properties) > 0 {
		properties := map[string]any{}
		for name := range s.Properties {
			properties[name] = f.schema(new(s.Properties[name]))
		}
		schema["properties"] = properties
	}
	if f == whole && len(s.Required) > 0 {
		schema["required"] = s.Required
	}
}

func setBounds(schema map[string]any, s *apiextensionsv1.JSONSchemaProps) {
	for keyword, bound := range map[string]*int64{
		"minLength": s.MinLength, "maxLength": s.MaxLength, "minItems": s.MinItems, "maxItems": s.MaxItems,
		"minProperties": s.MinProperties, "maxProperties": s.MaxProperties,
	} {
		if bound != nil {
			schema[keyword] = *bound
		}
	}
	for keyword, bound := range map[string]*float64{"minimum": s.Minimum, "maximum": s.Maximum} {
		if bound != nil {
			schema[keyword] = *bound
		}
	}
	if s.Pattern != "" {
		schema["pattern"] = s.Pattern
	}
}

// TestPoliciesInValuesHaveTheSchemaOfTheCRD tries policies in values that the API server refuses, with the path that Helm must name.
func TestPoliciesInValuesHaveTheSchemaOfTheCRD(t *testing.T) {
	for name, test := range map[string]struct{ values, message string }{
		"an unknown section":  {`adapt: {recommended: {nodes: {annotation: {}}}}`, "/policies/adapt/recommended/nodes"},
		"an unknown field":    {`adapt: {strict: {nodes: {labels: {denied: [a]}}}}`, "/policies/adapt/strict/nodes/labels"},
		"a string for a list": {`adapt: {recommended: {match: {nodeNames: a}}}`, "/policies/adapt/recommended/match/nodeNames"},
		"a wrong choice": {
			`adapt: {recommended: {nodes: {unschedulable: {changes: any}}}}`, "/policies/adapt/recommended/nodes/unschedulable/changes",
		},
		"an entry without its key": {
			`adapt: {recommended: {nodes: {taints: {allowed: [{value: a}]}}}}`, "/policies/adapt/recommended/nodes/taints/allowed/0",
		},
		"an unknown field of your own": {`extra: {a: {validationActions: [Deny], nodes: {label: {}}}}`, "/policies/extra/a/nodes"},
		"an unknown action":            {`extra: {a: {validationActions: [deny]}}`, "/policies/extra/a/validationActions/0"},
		"a section without a value":    {`extra: {a: {validationActions: [Deny], nodes: {labels: }}}`, "/policies/extra/a/nodes/labels"},
		"a policy that is a list":      {`extra: {a: [nodes]}`, "/policies/extra/a"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := helmTemplate(t, "--values", valuesFile(t, "policies: {"+test.values+"}\n"))
			if err == nil {
				t.Fatalf("it is accepted:\n%s", out)
			}
			if !strings.Contains(err.Error(), test.message) {
				t.Errorf("the error does not name %s: %v", test.message, err)
			}
		})
	}
}

// TestPoliciesOfConfigAreValues has Helm accept each policy of config as one's own, and as a change of another.
func TestPoliciesOfConfigAreValues(t *testing.T) {
	paths, err := filepath.Glob("../config/policies/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatal("there are no policies", err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var policy struct {
				Spec any `json:"spec"`
			}
			if err := yaml.Unmarshal(data, &policy); err != nil {
				t.Fatal(err)
			}
			spec, err := json.Marshal(policy.Spec)
			if err != nil {
				t.Fatal(err)
			}
			for _, values := range []string{`extra: {mine: ` + string(spec) + `}`, `adapt: {recommended: ` + string(spec) + `}`} {
				render(t, "--values", valuesFile(t, "policies: {"+values+"}\n"))
			}
		})
	}
}

// valuesFile writes values into a file and returns its path.
func valuesFile(t *testing.T, values string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(path, []byte(values), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
