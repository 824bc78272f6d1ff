package policy

import (
	"slices"
	"testing"
)

func TestConditionsAreComparedByType(t *testing.T) {
	condition := func(text string) Condition {
		t.Helper()
		var v View
		w := Write{Operation: "CREATE", Resource: "nodes", Object: []byte(`{"status":{"conditions":[` + text + `]}}`)}
		if err := v.Decode(w, allParts); err != nil {
			t.Fatal(err)
		}
		return v.Node.Status.Conditions[0]
	}
	a, b := condition(`{"type":"A","status":"True"}`), condition(`{"type":"B","status":"True"}`)
	for name, test := range map[string]struct {
		old, updated            Conditions
		added, changed, removed []string
	}{
		"moved":              {old: Conditions{a, b}, updated: Conditions{b, a}},
		"added and removed":  {old: Conditions{a}, updated: Conditions{b}, added: []string{"B"}, removed: []string{"A"}},
		"a second of a type": {old: Conditions{a}, updated: Conditions{a, condition(`{"type":"A"}`)}, changed: []string{"A"}},
		"a time that changes": {
			old: Conditions{a}, changed: []string{"A"},
			updated: Conditions{condition(`{"type":"A","status":"True","lastTransitionTime":"t"}`)},
		},
		"written in another order": {old: Conditions{a}, updated: Conditions{condition(`{"status":"True", "type":"A"}`)}},
		"one that may be written":  {updated: Conditions{condition(`{"type":"Ready"}`)}},
	} {
		c := compareConditions(test.old, test.updated, isKubeletCondition)
		if !slices.Equal(c.added, test.added) || !slices.Equal(c.changed, test.changed) || !slices.Equal(c.removed, test.removed) {
			t.Errorf("%s: got %+v", name, c)
		}
	}
}
