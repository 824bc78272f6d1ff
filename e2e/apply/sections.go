// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package apply draws NodeRestrictionPolicies from the schema of the CRD. Its tests apply them with kubectl and Helm.
package apply

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/e2e/project"
)

// Schema is what a sample needs of an OpenAPI schema.
type Schema struct {
	Type                 string
	Enum                 []any
	Minimum              *float64
	Items                *Schema
	Properties           map[string]Schema
	AdditionalProperties *Schema
	IntOrString          bool `json:"x-kubernetes-int-or-string"`
	Validations          []struct {
		Rule string
	} `json:"x-kubernetes-validations"`
}

// ReadSchema returns the schema of the spec of a policy, and the file of the CRD that has it.
func ReadSchema() (spec Schema, file string, err error) {
	root, err := project.Root()
	if err != nil {
		return spec, "", err
	}
	file = filepath.Join(root, "config", "crd", "noderestriction.plus_noderestrictionpolicies.yaml")
	data, err := os.ReadFile(file)
	if err != nil {
		return spec, "", err
	}
	var crd struct {
		Spec struct {
			Versions []struct {
				Schema struct{ OpenAPIV3Schema Schema }
			}
		}
	}
	if err := yaml.Unmarshal(data, &crd); err != nil {
		return spec, "", err
	}
	return crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"], file, nil
}

// Section is an object of a spec that may be empty: a section, or the group nodes, mirrorPods or pods.
type Section struct {
	Path   []string // such as nodes, labels
	schema Schema
}

// forAgents are the parts of a spec that only a policy for node agents may have, or that make it one. [Section.Full] leaves them out.
func forAgents() []string { return []string{"subjects", "objects", "removable", "spec"} }

// Sections returns the groups and sections of a spec, and match, sorted by path. It leaves out subjects, which cannot be empty.
func Sections(spec *Schema) []Section {
	var all []Section
	for name, property := range spec.Properties {
		if property.Type != "object" || name == "subjects" {
			continue
		}
		all = append(all, Section{[]string{name}, property})
		if !slices.Contains([]string{"nodes", "mirrorPods", "pods"}, name) {
			continue
		}
		for section, property := range property.Properties {
			all = append(all, Section{[]string{name, section}, property})
		}
	}
	slices.SortFunc(all, func(a, b Section) int { return slices.Compare(a.Path, b.Path) })
	return all
}

// Name is the name of the policy that has the section.
func (s Section) Name() string { return strings.ToLower(strings.Join(s.Path, "-")) }

// HasFields reports whether the section can be anything but empty.
func (s Section) HasFields() bool { return len(s.schema.Properties) > 0 }

// Full is a value of the section with every field.
func (s Section) Full() any { return sample(&s.schema) }

// Policy is a policy with the section, whose value is nil if it is left out.
func (s Section) Policy(value any) map[string]any {
	spec := map[string]any{"validationActions": []any{"Audit"}, "match": map[string]any{"nodeNames": []any{"nobody"}}}
	if slices.Contains(forAgents(), s.Path[len(s.Path)-1]) {
		spec["subjects"] = map[string]any{"serviceAccounts": []any{map[string]any{"namespace": "a", "name": "a"}}}
	}
	at := spec
	for _, name := range s.Path[:len(s.Path)-1] {
		inner := map[string]any{}
		at[name] = inner
		at = inner
	}
	if last := s.Path[len(s.Path)-1]; value == nil {
		delete(at, last)
	} else {
		at[last] = value
	}
	return map[string]any{
		"apiVersion": v1alpha1.GroupVersion().String(), "kind": v1alpha1.Kind,
		"metadata": map[string]any{"name": s.Name()}, "spec": spec,
	}
}

// sample is a valid value that is not the default: every field of an object that a policy for kubelets may have, one element of a list, the
// last of an enumeration.
func sample(schema *Schema) any {
	switch {
	case len(schema.Enum) > 0:
		return schema.Enum[len(schema.Enum)-1]
	case schema.IntOrString:
		return "1"
	}
	switch schema.Type {
	case "object":
		return sampleObject(schema)
	case "array":
		return []any{sample(schema.Items)}
	case "integer":
		return max(2, minimum(schema))
	case "string":
		return sampleText(schema)
	}
	panic(fmt.Sprintf("no sample of type %q", schema.Type))
}

func sampleObject(schema *Schema) map[string]any {
	object := map[string]any{}
	for name, property := range schema.Properties {
		if name != "lockdown" && !slices.Contains(forAgents(), name) {
			object[name] = sample(&property)
		}
	}
	if schema.AdditionalProperties != nil {
		object["cpu"] = sample(schema.AdditionalProperties)
	}
	return object
}

func minimum(schema *Schema) int64 {
	if schema.Minimum == nil {
		return 0
	}
	return int64(*schema.Minimum)
}

// sampleText is a CIDR where one is wanted, and otherwise a path, which is also a pattern.
func sampleText(schema *Schema) string {
	for _, rule := range schema.Validations {
		if strings.Contains(rule.Rule, "isCIDR") {
			return "10.0.0.0/8"
		}
	}
	return "/a"
}
