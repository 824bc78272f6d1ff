// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package object

import (
	"reflect"
	"strings"
	"testing"
)

// TestEveryFieldIsDecoded: field and the types must say the same, or a rule would look at a field that is always empty.
func TestEveryFieldIsDecoded(t *testing.T) {
	node, pod := &Node{}, &Pod{}
	for _, test := range []struct {
		name    string
		section string
		fields  any // pointer to the struct
		field   func(id PartID) any
	}{
		{"the metadata of a Node", "metadata", &node.Metadata, node.field},
		{"the spec of a Node", "spec", &node.Spec, node.field},
		{"the status of a Node", "status", &node.Status, node.field},
		{"the metadata of a pod", "metadata", &pod.Metadata, pod.field},
		{"the spec of a pod", "spec", &pod.Spec, pod.field},
		{"the status of a pod", "status", &pod.Status, pod.field},
	} {
		t.Run(test.name, func(t *testing.T) {
			section := reflect.ValueOf(test.fields).Elem()
			for i := range section.NumField() {
				name, _, _ := strings.Cut(section.Type().Field(i).Tag.Get("json"), ",")
				if name == "" {
					continue // what has no field of its own
				}
				id, known := partOf(test.section, name)
				if known != name {
					t.Errorf("%s is known as %q", name, known)
				}
				if got, want := test.field(id), section.Field(i).Addr().Interface(); got != want {
					t.Errorf("%s: got %T, want a pointer to the field", name, got)
				}
			}
			if id, _ := partOf(test.section, "no-such-field"); test.field(id) != nil {
				t.Error("there is a field for an unknown name")
			}
		})
	}
}
