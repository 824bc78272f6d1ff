// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules_test

import (
	"os"
	"strings"
	"testing"

	"noderestriction.plus/internal/shapetest"
	"noderestriction.plus/policy"
)

// TestRecordedShapesPassEveryPreset makes a write of each shape that real kubelets were seen to write, and demands that no
// preset denies it.
func TestRecordedShapesPassEveryPreset(t *testing.T) {
	data, err := os.ReadFile("testdata/shapes.tsv")
	if err != nil {
		t.Fatal(err)
	}
	shapes, err := shapetest.Read(data)
	if err != nil {
		t.Fatal(err)
	}
	if len(shapes) != 130 {
		t.Errorf("found %d shapes, want 130", len(shapes))
	}
	sets := map[string]*policy.Set{}
	for _, preset := range []string{"recommended", "strict"} {
		sets[preset] = newPresetSet(t, "../../config/policies/"+preset+".yaml")
	}
	for _, shape := range shapes {
		t.Run(strings.ReplaceAll(shape.Name, "/", "."), func(t *testing.T) {
			r := &shape.Request
			for name, set := range sets {
				if !set.Evaluates(r) {
					t.Errorf("%s does not look at such writes", name)
				}
				if d := set.Evaluate(r); len(d.Violations) > 0 {
					t.Errorf("%s: %s", name, d.Message())
				}
			}
		})
	}
}
