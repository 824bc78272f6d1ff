// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package object

import (
	"slices"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
)

// Of a write with gaps it is noted what a rule asks for, and only if the answer depends on a gap.
func TestGaps(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		gaps func(*Gaps)
		ask  func(*View)
		want []string
	}{
		{"a part that is known", func(g *Gaps) { g.MissOld("status", "phase") }, func(v *View) { v.Node().Labels().Change() }, nil},
		{"the old value of a part that may change", func(g *Gaps) { g.MissOld("metadata", "labels") }, func(v *View) { v.Node().Labels().Old() }, []string{"metadata.labels"}},
		{
			"the new value of a part whose old value is not known",
			func(g *Gaps) { g.MissOld("metadata", "labels") }, func(v *View) { v.Node().Labels().New() }, nil,
		},
		{"whether a part changes", func(g *Gaps) { g.MissOld("metadata", "labels") }, func(v *View) { v.Node().Labels().Changed() }, []string{"metadata.labels"}},
		{"whether a part changes that does not", func(g *Gaps) { g.MissValue("metadata", "labels") }, func(v *View) { v.Node().Labels().Change() }, nil},
		{"the value of a part that does not change", func(g *Gaps) { g.MissValue("metadata", "labels") }, func(v *View) { v.Node().Labels().Old() }, []string{"metadata.labels"}},
		{"a part as it was sent", func(g *Gaps) { g.MissNew("status", "config") }, func(v *View) { v.Node().Config().New() }, []string{"status.config"}},
		{"other fields of the spec", func(g *Gaps) { g.MissOld("spec", "configSource") }, func(v *View) { v.Node().OtherSpec() }, []string{"spec"}},
		{"other fields of the spec, but not those of the status", func(g *Gaps) { g.MissOld("status", "phase") }, func(v *View) { v.Node().OtherSpec() }, nil},
		{"all differences", func(g *Gaps) { g.MissOld("status", "phase") }, func(v *View) { v.Differences() }, []string{"status.phase"}},
		{"managedFields", func(g *Gaps) { g.MissNew("metadata", "managedFields") }, func(v *View) { v.ManagedFields() }, []string{"metadata.managedFields"}},
		{
			"anything but the name",
			func(g *Gaps) { g.MissAllValues(func(_, name string) bool { return name == "name" }) },
			func(v *View) { v.Node().Name().New(); v.Node().Taints().New() },
			[]string{"spec.taints"},
		},
		{
			"any change, but not of the name",
			func(g *Gaps) { g.MissAllOld(func(_, name string) bool { return name == "name" }) },
			func(v *View) { v.Node().Name().Change(); v.Node().Taints().Change() },
			[]string{"spec.taints"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := &Gaps{}
			test.gaps(g)
			var v View
			object := []byte(`{"metadata":{"name":"a"}}`)
			w := Write{Operation: admissionv1.Update, Resource: "nodes", Subresource: "status", Object: object, OldObject: object, Gaps: g}
			if err := v.Open(&w); err != nil {
				t.Fatal(err)
			}
			test.ask(&v)
			if got := g.Asked(); !slices.Equal(got, test.want) {
				t.Errorf("asked for %q, want %q", got, test.want)
			}
			if g.Reset(); len(g.Asked()) > 0 {
				t.Error("the gaps were not reset")
			}
		})
	}
}

func TestGapsInQuantitiesAndOptions(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		gaps func(*Gaps)
		want bool
	}{
		{"capacity", func(g *Gaps) { g.MissOld("status", "capacity") }, true},
		{"conditions", func(g *Gaps) { g.MissOld("status", "conditions") }, false},
	} {
		g := &Gaps{}
		test.gaps(g)
		var v View
		object := []byte(`{"metadata":{"name":"a"}}`)
		if err := v.Open(&Write{Operation: admissionv1.Update, Resource: "nodes", Object: object, OldObject: object, Gaps: g}); err != nil {
			t.Fatal(err)
		}
		if v.UnverifiableQuantity(); g.WantQuantities() != test.want {
			t.Errorf("%s: got %v", test.name, g.WantQuantities())
		}
	}
	g := &Gaps{}
	g.MissOptions()
	var v View
	if err := v.Open(&Write{Operation: admissionv1.Delete, Resource: "pods", OldObject: []byte(`{}`), Gaps: g}); err != nil {
		t.Fatal(err)
	}
	if v.DeleteOptions(); !slices.Equal(g.Asked(), []string{"options"}) {
		t.Errorf("asked for %q", g.Asked())
	}
}

// Each part that rules read has a name, by which it is identified again.
func TestEachPartHasItsName(t *testing.T) {
	t.Parallel()
	for id := otherTop; id <= lastPart; id++ {
		section, name := id.names()
		if again, known := identify(section, name); name != "" && (again != id || known != name) {
			t.Errorf("%d is %s.%s, which is %d", id, section, name, again)
		}
	}
}
