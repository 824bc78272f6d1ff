// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/distribution"
	"noderestriction.plus/internal/manifest"
)

// distributions returns the names of the distributions in config/policies.
func distributions(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob("../config/policies/distributions/*.yaml")
	if err != nil || len(names) == 0 {
		t.Fatal("there are no distributions", err)
	}
	for i := range names {
		names[i] = strings.TrimSuffix(filepath.Base(names[i]), ".yaml")
	}
	return names
}

// TestDistributions checks that the chart adapts its policies to a distribution as internal/distribution does.
func TestDistributions(t *testing.T) {
	for _, name := range distributions(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := render(t, "--set", "policies.recommended=Deny,policies.strict=Deny,policies.distribution="+name)
			for _, preset := range []string{"recommended", "strict"} {
				want := adapted(t, preset, name)
				have := get[*v1alpha1.NodeRestrictionPolicy](t, r, preset)
				if !reflect.DeepEqual(have.Spec, want.Spec) {
					t.Errorf("the chart has another policy %s:\n%+v\nwant\n%+v", preset, have.Spec, want.Spec)
				}
			}
		})
	}
}

// adapted returns a preset, adapted to a distribution.
func adapted(t *testing.T, preset, name string) *v1alpha1.NodeRestrictionPolicy {
	t.Helper()
	var texts [2][]byte
	for i, path := range []string{preset, "distributions/" + name} {
		var err error
		if texts[i], err = os.ReadFile("../config/policies/" + path + ".yaml"); err != nil {
			t.Fatal(err)
		}
	}
	text, err := distribution.Adapt(texts[0], texts[1], preset, name)
	if err != nil {
		t.Fatal(err)
	}
	policies, err := manifest.Policies(text)
	if err != nil {
		t.Fatal(err)
	}
	return policies[0]
}
