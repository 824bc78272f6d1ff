// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package manifest reads hand-written files, YAML or JSON in one or several documents: policies, objects, AdmissionReviews. It reads
// policies as an API server does with strict field validation, by the schema of the CRD, but reports every error with its position.
package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"noderestriction.plus/api/v1alpha1"
)

// Documents splits YAML or JSON into its documents, each as JSON, without empty ones. Concatenated JSON values count as documents
// of their own. The error says which document is not well-formed.
func Documents(data []byte) ([][]byte, error) {
	stream, err := NewStream(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	var docs [][]byte
	for {
		doc, err := stream.Next()
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			return nil, err
		}
		converted, err := doc.JSON()
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", doc.Number, err)
		}
		docs = append(docs, bytes.Clone(converted))
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

// Policies reads NodeRestrictionPolicies as [Read] does. An error in one of them, and two of one name, are errors; that a policy
// compiles is for [policy.Compiler.Compile] to say.
func Policies(data []byte) ([]*v1alpha1.NodeRestrictionPolicy, error) {
	file := Read(bytes.NewReader(data), nil)
	if err := file.Err(); err != nil {
		return nil, err
	}
	policies := make([]*v1alpha1.NodeRestrictionPolicy, len(file.Policies))
	for i, p := range file.Policies {
		policies[i] = p.Object
	}
	return policies, nil
}

// Spec reads the spec of a NodeRestrictionPolicy alone, as [Policies] reads that of a whole one. Without validationActions it denies.
func Spec(data []byte) (*v1alpha1.NodeRestrictionPolicySpec, error) {
	doc := &Document{Text: data, Number: 1, Line: 1, Column: 1}
	spec, where, err := doc.decode()
	if err != nil {
		return nil, err
	}
	if spec == nil {
		spec = map[string]any{}
	}
	if fields, ok := spec.(map[string]any); ok && fields["validationActions"] == nil {
		fields["validationActions"] = []any{string(v1alpha1.Deny)}
	}
	where.specOnly = true
	p := &Policy{positions: where}
	p.read(map[string]any{
		"apiVersion": v1alpha1.GroupVersion().String(), "kind": v1alpha1.Kind, "metadata": map[string]any{"name": "test"}, "spec": spec,
	}, nil)
	if err := p.Err(); err != nil {
		return nil, err
	}
	return &p.Object.Spec, nil
}
