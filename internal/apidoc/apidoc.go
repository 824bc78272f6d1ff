// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package apidoc documents the fields of a NodeRestrictionPolicy, as its CRD describes them. The CRD is generated from the comments in
// api, so that kubectl explain, the command explain and the pages under docs say the same.
package apidoc

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"noderestriction.plus/config/crd"
)

// Field documents a field.
type Field struct {
	Path    string   // such as spec.nodes.labels.registration.allowed
	Type    string   // such as: list of Pattern, at most 128
	Text    string   // what the field means, on one line
	Omitted string   // what it means to omit the field, or to leave it empty; "" if the field is required, or the CRD does not say
	Fields  []*Field // of an object, or of the elements of a list; sorted by name
}

// Type documents a type that several fields share.
type Type struct {
	Name, Text string
}

// Reference documents a kind.
type Reference struct {
	Root  *Field // the kind itself, with an empty path
	Types []Type // sorted by name
}

// Read reads the embedded CRD. An error means that the CRD is not one that controller-gen generates.
func Read() (*Reference, error) {
	var definition struct {
		Spec struct {
			Versions []struct {
				Schema struct {
					Root *schema `json:"openAPIV3Schema"`
				} `json:"schema"`
			} `json:"versions"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal([]byte(crd.YAML()), &definition); err != nil {
		return nil, err
	}
	versions := definition.Spec.Versions
	if len(versions) != 1 || versions[0].Schema.Root == nil {
		return nil, errors.New("the CRD must have one version with a schema")
	}
	types := map[string]string{}
	reference := &Reference{Root: versions[0].Schema.Root.field("", types)}
	for _, name := range slices.Sorted(maps.Keys(types)) {
		reference.Types = append(reference.Types, Type{name, types[name]})
	}
	return reference, nil
}

// Find returns the field at a path, such as spec.nodes.labels; or nil.
func (r *Reference) Find(path string) *Field {
	f := r.Root
	for f != nil && f.Path != path {
		i := slices.IndexFunc(f.Fields, func(child *Field) bool {
			below, ok := strings.CutPrefix(path, child.Path)
			return ok && (below == "" || below[0] == '.' || below[0] == '[')
		})
		if i < 0 {
			return nil
		}
		f = f.Fields[i]
	}
	return f
}

// Settings returns the fields below f that a policy may set, each with its Path below f. Of an object that is the fields in it, not the
// object.
func (f *Field) Settings() []Field {
	var settings []Field
	var add func(parent *Field)
	add = func(parent *Field) {
		for _, child := range parent.Fields {
			if len(child.Fields) > 0 && child.Type == object {
				add(child)
				continue
			}
			setting := *child
			setting.Path = strings.TrimPrefix(child.Path, f.Path+".")
			settings = append(settings, setting)
			if len(child.Fields) > 0 {
				add(child)
			}
		}
	}
	add(f)
	return settings
}
