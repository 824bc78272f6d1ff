// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package object

import (
	"reflect"
	"strings"
	"testing"
)

// accessor is a method of a Node or a pod that returns a part.
type accessor struct {
	object, name string // such as Node and Labels
	id           partID
	values       uintptr      // where its values are; 0: nowhere
	of           reflect.Type // of its values; nil: it is not decoded
}

// accessors lists the methods that return parts.
func accessors(t *testing.T) []accessor {
	t.Helper()
	var all []accessor
	var v View
	for _, object := range []any{v.Node(), v.Pod()} {
		methods := reflect.ValueOf(object)
		for i := range methods.NumMethod() {
			method := methods.Type().Method(i)
			if method.Type.NumOut() != 1 || method.Type.Out(0).Kind() != reflect.Struct {
				continue
			}
			part := methods.Method(i).Call(nil)[0]
			a := accessor{object: methods.Elem().Type().Name(), name: method.Name}
			a.id = partID(part.FieldByName("id").Uint())
			if kept := part.FieldByName("values"); kept.IsValid() {
				a.values, a.of = kept.Pointer(), kept.Type().Elem().Field(0).Type
			}
			all = append(all, a)
		}
	}
	if len(all) < 50 {
		t.Fatalf("found only %d methods", len(all))
	}
	return all
}

// TestMethodsReturnThePartOfTheirName fails for a method that returns another part, or that shares its values with another method.
func TestMethodsReturnThePartOfTheirName(t *testing.T) {
	used := map[uintptr]string{}
	for _, a := range accessors(t) {
		method := a.object + "." + a.name
		if _, name := a.part(); !strings.EqualFold(name, a.name) {
			t.Errorf("%s returns the part %q", method, name)
		}
		if other, taken := used[a.values]; taken && a.of != nil {
			t.Errorf("%s shares its values with %s", method, other)
		}
		used[a.values] = method
	}
}

// part returns the section and the name of the part that the method returns.
func (a accessor) part() (section, name string) {
	for _, section := range []string{"metadata", "spec", "status"} {
		for _, name := range []string{a.name, strings.ToLower(a.name), strings.ToLower(a.name[:1]) + a.name[1:]} {
			if id, known := identify(section, name); known != "" && id == a.id {
				return section, known
			}
		}
	}
	return "", ""
}

// update opens an update of a Node's status.
func update(t *testing.T, old, updated string) *View {
	t.Helper()
	v := &View{}
	w := Write{Operation: "UPDATE", Resource: "nodes", Subresource: "status", OldObject: []byte(old), Object: []byte(updated)}
	if err := v.Open(&w); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestOnlyWhatIsAskedForIsDecoded(t *testing.T) {
	const (
		old     = `{"metadata":{"labels":{"a":"b"},"annotations":[],"name":"n"},"status":{"phase":1}}`
		updated = `{"metadata":{"labels":{"a":"c"},"annotations":[],"name":"n"},"status":{"phase":2}}`
	)
	v := update(t, old, updated)
	if before, after := v.Node().Labels().Change(); before["a"] != "b" || after["a"] != "c" {
		t.Errorf("the labels are %v and %v", before, after)
	}
	if before, after := v.Node().Annotations().Change(); before != nil || after != nil || v.Node().Annotations().Changed() {
		t.Errorf("the annotations are %v and %v", before, after)
	}
	if name := v.Node().Name(); name.Old() != "n" || name.New() != "n" || name.Changed() {
		t.Errorf("the name is %q and %q", name.Old(), name.New())
	}
	if err := v.Err(); err != nil {
		t.Errorf("a part that is not asked for is decoded: %v", err)
	}
	v.Node().Phase().Change()
	if err := v.Err(); err == nil || !strings.HasPrefix(err.Error(), "oldObject: status.phase: ") {
		t.Errorf("got the error %v", err)
	}
	v.Node().Annotations().Old()
	if err := v.Err(); !strings.HasPrefix(err.Error(), "oldObject: status.phase: ") {
		t.Errorf("the first error is gone: %v", err)
	}
}

func TestAPartThatIsNotThere(t *testing.T) {
	v := update(t, `{"metadata":{"labels":{"a":"b"}}}`, `{"metadata":{"finalizers":["x"]}}`)
	if old, updated := v.Node().Labels().Change(); len(old) != 1 || updated != nil {
		t.Errorf("removed labels are %v and %v", old, updated)
	}
	if old, updated := v.Node().Finalizers().Change(); old != nil || len(updated) != 1 {
		t.Errorf("added finalizers are %v and %v", old, updated)
	}
	if v.Node().Taints().Changed() {
		t.Error("taints that neither object has are changed")
	}
	creation, deletion := &View{}, &View{}
	if err := creation.Open(&Write{Operation: "CREATE", Resource: "pods", Object: []byte(`{"metadata":{"name":"p"}}`)}); err != nil {
		t.Fatal(err)
	}
	if p := creation.Pod(); p.IsStored() || !p.IsWritten() || p.Name().Old() != "" || p.Name().New() != "p" || !p.Labels().Changed() {
		t.Error("a created pod is not read")
	}
	if err := deletion.Open(&Write{Operation: "DELETE", Resource: "pods", OldObject: []byte(`{"metadata":{"name":"p"}}`)}); err != nil {
		t.Fatal(err)
	}
	if p := deletion.Pod(); !p.IsStored() || p.IsWritten() || p.Name().Old() != "p" || p.Name().New() != "" {
		t.Error("a deleted pod is not read")
	}
}
