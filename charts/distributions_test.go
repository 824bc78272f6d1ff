// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/distribution"
	"noderestriction.plus/internal/fixture"
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

// TestAgentsAreNotRefused checks that a write which a distribution's policy allows to its agents never goes to gate, so that it is not
// refused while no replica answers, and that gate loses nothing else by it.
func TestAgentsAreNotRefused(t *testing.T) {
	usual := newCaller(t)
	for _, name := range distributions(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCaller(t, "--set", "policies.distribution="+name)
			for path, f := range fixturesOf(t, name, "allow") {
				if called, failed := c.calls("system:node:"+f.Request.NodeName, f.Request); slices.Contains(called, gate) || len(failed) > 0 {
					t.Errorf("%s: %v are called, and the conditions of %v end in an error", path, called, failed)
				}
			}
			for path, f := range fixturesOf(t, name, "deny") {
				user := "system:node:" + f.Request.NodeName
				before, _ := usual.calls(user, f.Request)
				// A condition does not see the node of the pod that is evicted.
				if f.Request.Subresource == "eviction" && adapted(t, "recommended", name).Spec.Pods.Eviction == nil {
					before = []string{status}
				}
				called, failed := c.calls(user, f.Request)
				if len(called) != 1 || len(failed) > 0 {
					t.Errorf("%s: %v are called, and the conditions of %v end in an error", path, called, failed)
				}
				if !slices.Equal(called, before) {
					t.Errorf("%s: %v are called, without the distribution %v", path, called, before)
				}
			}
			for what, write := range otherWrites {
				want := gate
				spec := adapted(t, "recommended", name).Spec
				if what == "an eviction" && spec.Pods.Eviction == nil || what == "a cordoned Node" && spec.Nodes.Unschedulable.Changes == "Any" {
					want = status
				}
				t.Run(what, func(t *testing.T) { checkCalls(t, c, kubelet, write, want) })
			}
			for what, test := range stockWrites {
				t.Run(what, func(t *testing.T) { checkCalls(t, c, kubelet, test.write, test.want) })
			}
		})
	}
}

// fixturesOf returns the fixtures of a distribution with a verdict, allow or deny, by path.
func fixturesOf(t *testing.T, name, verdict string) map[string]*fixture.Fixture {
	t.Helper()
	return readFixtures(t, "../config/policies/distributions/testdata/"+name+"/"+verdict+"/*.txtar")
}
