// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package manifest reads what a person wrote, YAML or JSON in one or several documents, strictly: an unknown or a duplicate
// field is an error that names it.
package manifest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"noderestriction.plus/api/v1alpha1"
)

// Documents splits YAML or JSON into its documents, each as JSON, without empty ones. Concatenated JSON values count as documents
// of their own. The error says which document, counted from 1, is not well-formed.
func Documents(data []byte) ([][]byte, error) {
	if trimmed := bytes.TrimSpace(data); len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[') {
		if docs, err := jsonDocuments(trimmed); err == nil {
			return docs, nil
		}
		// YAML in flow style begins like JSON.
	}
	var docs [][]byte
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for n := 1; ; n++ {
		doc, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", n, err)
		}
		converted, err := yaml.YAMLToJSONStrict(doc)
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", n, err)
		}
		if string(converted) != "null" {
			docs = append(docs, converted)
		}
	}
}

func jsonDocuments(data []byte) ([][]byte, error) {
	var docs [][]byte
	decoder := json.NewDecoder(bytes.NewReader(data))
	for {
		var doc json.RawMessage
		err := decoder.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			return nil, err
		}
		docs = append(docs, doc)
	}
}

// typeMeta tells what a document is.
type typeMeta struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Items      []json.RawMessage `json:"items"`
}

func (t typeMeta) is(apiVersion, kind string) bool {
	return t.APIVersion == apiVersion && t.Kind == kind
}

// expand returns the objects in documents, with the items of v1 Lists in the place of the Lists.
func expand(docs [][]byte) ([][]byte, []typeMeta, error) {
	var objects [][]byte
	var metas []typeMeta
	for i, doc := range docs {
		var meta typeMeta
		if err := json.Unmarshal(doc, &meta); err != nil {
			return nil, nil, fmt.Errorf("document %d: %w", i+1, err)
		}
		if !meta.is("v1", "List") {
			objects, metas = append(objects, doc), append(metas, meta)
			continue
		}
		items := make([][]byte, len(meta.Items))
		for j, item := range meta.Items {
			items[j] = item
		}
		inner, innerMetas, err := expand(items)
		if err != nil {
			return nil, nil, fmt.Errorf("document %d: items: %w", i+1, err)
		}
		objects, metas = append(objects, inner...), append(metas, innerMetas...)
	}
	return objects, metas, nil
}

// Policies reads NodeRestrictionPolicies. Each must have a name that an API server accepts; other kinds, unknown fields and two
// policies of one name are errors. Whether a policy's spec is valid is for [policy.Compiler.Compile] to say.
func Policies(data []byte) ([]*v1alpha1.NodeRestrictionPolicy, error) {
	docs, err := Documents(data)
	if err != nil {
		return nil, err
	}
	objects, metas, err := expand(docs)
	if err != nil {
		return nil, err
	}
	if len(objects) == 0 {
		return nil, errors.New("no NodeRestrictionPolicy found")
	}
	policies := make([]*v1alpha1.NodeRestrictionPolicy, len(objects))
	seen := map[string]bool{}
	for i, object := range objects {
		if !metas[i].is(v1alpha1.GroupVersion().String(), v1alpha1.Kind) {
			return nil, fmt.Errorf("object %d: apiVersion %q, kind %q: want %s, %s",
				i+1, metas[i].APIVersion, metas[i].Kind, v1alpha1.GroupVersion(), v1alpha1.Kind)
		}
		p := &v1alpha1.NodeRestrictionPolicy{}
		if err := yaml.UnmarshalStrict(object, p); err != nil {
			return nil, fmt.Errorf("object %d: %w", i+1, err)
		}
		if err := checkName(p.Name); err != nil {
			return nil, fmt.Errorf("object %d: %w", i+1, err)
		}
		if seen[p.Name] {
			return nil, fmt.Errorf("object %d: metadata.name: two policies are named %q", i+1, p.Name)
		}
		seen[p.Name] = true
		policies[i] = p
	}
	return policies, nil
}

func checkName(name string) error {
	at := field.NewPath("metadata", "name")
	if name == "" {
		return field.Required(at, "a policy needs a name")
	}
	for _, message := range validation.NameIsDNSSubdomain(name, false) {
		return field.Invalid(at, name, message)
	}
	return nil
}

// Spec reads the spec of a NodeRestrictionPolicy alone.
func Spec(data []byte) (*v1alpha1.NodeRestrictionPolicySpec, error) {
	spec := &v1alpha1.NodeRestrictionPolicySpec{}
	if err := yaml.UnmarshalStrict(data, spec); err != nil {
		return nil, err
	}
	return spec, nil
}
