// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"slices"
	"testing"

	"noderestriction.plus/policy/object"
)

func TestConditionsAreComparedByType(t *testing.T) {
	condition := func(text string) object.Condition {
		t.Helper()
		var v object.View
		w := object.Write{Operation: "CREATE", Resource: "nodes", Object: []byte(`{"status":{"conditions":[` + text + `]}}`)}
		if err := v.Open(&w); err != nil {
			t.Fatal(err)
		}
		return v.Node().Conditions().New()[0]
	}
	a, b := condition(`{"type":"A","status":"True"}`), condition(`{"type":"B","status":"True"}`)
	for name, test := range map[string]struct {
		old, updated            object.Conditions
		added, changed, removed []string
	}{
		"moved":              {old: object.Conditions{a, b}, updated: object.Conditions{b, a}},
		"added and removed":  {old: object.Conditions{a}, updated: object.Conditions{b}, added: []string{"B"}, removed: []string{"A"}},
		"a second of a type": {old: object.Conditions{a}, updated: object.Conditions{a, condition(`{"type":"A"}`)}, changed: []string{"A"}},
		"a time that changes": {
			old: object.Conditions{a}, changed: []string{"A"},
			updated: object.Conditions{condition(`{"type":"A","status":"True","lastTransitionTime":"t"}`)},
		},
		"written in another order": {old: object.Conditions{a}, updated: object.Conditions{condition(`{"status":"True", "type":"A"}`)}},
		"one that may be written":  {updated: object.Conditions{condition(`{"type":"Ready"}`)}},
	} {
		c := compareConditions(test.old, test.updated, isKubeletCondition)
		if !slices.Equal(c.added, test.added) || !slices.Equal(c.changed, test.changed) || !slices.Equal(c.removed, test.removed) {
			t.Errorf("%s: got %+v", name, c)
		}
	}
}
