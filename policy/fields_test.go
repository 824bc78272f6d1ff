package policy

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
		section any // pointer to the struct
		field   func(name string) any
	}{
		{"the metadata of a Node", &node.Metadata, func(name string) any { return node.field("metadata", name) }},
		{"the spec of a Node", &node.Spec, func(name string) any { return node.field("spec", name) }},
		{"the status of a Node", &node.Status, func(name string) any { return node.field("status", name) }},
		{"the metadata of a pod", &pod.Metadata, func(name string) any { return pod.field("metadata", name) }},
		{"the spec of a pod", &pod.Spec, func(name string) any { return pod.field("spec", name) }},
		{"the status of a pod", &pod.Status, func(name string) any { return pod.field("status", name) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			section := reflect.ValueOf(test.section).Elem()
			for i := range section.NumField() {
				name, _, _ := strings.Cut(section.Type().Field(i).Tag.Get("json"), ",")
				if name == "" {
					continue // what has no field of its own
				}
				if got, want := test.field(name), section.Field(i).Addr().Interface(); got != want {
					t.Errorf("%s: got %T, want a pointer to the field", name, got)
				}
			}
			if test.field("no-such-field") != nil {
				t.Error("there is a field for an unknown name")
			}
		})
	}
}
