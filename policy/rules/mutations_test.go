// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"noderestriction.plus/internal/fixture"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

// TestForbiddenChangeIsDeniedInAnyObject inserts the forbidden change of each deny fixture in random valid objects: whatever
// else is stored, and whatever else the kubelet legitimately changes in the same write, the rule finds it.
func TestForbiddenChangeIsDeniedInAnyObject(t *testing.T) {
	for _, rule := range rules.All() {
		paths, err := filepath.Glob(filepath.Join("testdata", string(rule.ID), "deny", "*.txtar"))
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: %d fixtures: %v", rule.ID, len(paths), err)
		}
		var fixtures []*fixture.Fixture
		var sets []*policy.Set
		for _, f := range readFixtures(t, paths) {
			fixtures, sets = append(fixtures, f), append(sets, setOf(t, f))
		}
		t.Run(string(rule.ID), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				i := rapid.IntRange(0, len(fixtures)-1).Draw(t, "fixture")
				r := disguise(t, fixtures[i])
				decision := sets[i].Evaluate(r)
				if !slices.ContainsFunc(decision.Violations, func(v policy.PolicyViolation) bool { return v.Rule == rule.ID }) {
					t.Errorf("%s: not found in\n%s\n%s", fixtures[i].Comment, r.OldObject, r.Object)
				}
			})
		})
	}
}

// disguise is the fixture's write with noise around its change: what is stored besides, and what a heartbeat changes.
func disguise(t *rapid.T, f *fixture.Fixture) *policy.Request {
	r := f.Request
	if r.Object == nil {
		return &r // a deletion changes nothing
	}
	changed := tree(t, r.Object)
	if r.OldObject == nil {
		object := noise(t, r.Resource)
		mergeInto(object, changed)
		r.Object = encode(t, object)
		return &r
	}
	stored := tree(t, r.OldObject)
	before := noise(t, r.Resource)
	mergeInto(before, stored)
	after := clone(t, before)
	mergeInto(after, changeOf(stored, changed))
	heartbeat(t, r.Resource, after)
	r.OldObject, r.Object = encode(t, before), encode(t, after)
	return &r
}

// noise is part of a valid object, with nothing that a fixture needs to be absent.
func noise(t *rapid.T, resource string) map[string]any {
	metadata := map[string]any{"resourceVersion": fmt.Sprint(rapid.IntRange(1, 1<<30).Draw(t, "resourceVersion"))}
	object := map[string]any{"metadata": metadata}
	if resource != "nodes" {
		return object
	}
	annotations := map[string]any{}
	names := rapid.SliceOfNDistinct(rapid.StringMatching(`noise\.example\.com/[a-z]{1,8}`), 0, 6, rapid.ID[string])
	for _, name := range names.Draw(t, "annotations") {
		annotations[name] = rapid.StringMatching(`[a-z]{0,5}`).Draw(t, "value")
	}
	metadata["annotations"] = annotations
	object["status"] = map[string]any{
		"daemonEndpoints": map[string]any{"kubeletEndpoint": map[string]any{"Port": 10250}},
		"nodeInfo":        map[string]any{"bootID": rapid.StringMatching(`[0-9a-f]{8}`).Draw(t, "bootID")},
	}
	return object
}

// heartbeat is what a kubelet changes besides: nothing that a rule of the presets looks at.
func heartbeat(t *rapid.T, resource string, object map[string]any) {
	metadata := object["metadata"].(map[string]any)
	metadata["resourceVersion"] = fmt.Sprint(rapid.IntRange(1, 1<<30).Draw(t, "new resourceVersion"))
	if resource != "nodes" {
		return
	}
	status, ok := object["status"].(map[string]any)
	if !ok {
		return
	}
	if info, ok := status["nodeInfo"].(map[string]any); ok {
		info["bootID"] = rapid.StringMatching(`[0-9a-f]{8}`).Draw(t, "new bootID")
	}
}

// changeOf is a merge patch from one object to another, as RFC 7386 has it.
func changeOf(from, to map[string]any) map[string]any {
	patch := map[string]any{}
	for key, value := range to {
		old, was := from[key]
		oldTree, wasTree := old.(map[string]any)
		newTree, isTree := value.(map[string]any)
		switch {
		case was && wasTree && isTree:
			if part := changeOf(oldTree, newTree); len(part) > 0 {
				patch[key] = part
			}
		case !was || !reflect.DeepEqual(old, value):
			patch[key] = value
		}
	}
	for key := range from {
		if _, is := to[key]; !is {
			patch[key] = nil
		}
	}
	return patch
}

// mergeInto applies a merge patch.
func mergeInto(object, patch map[string]any) {
	for key, value := range patch {
		part, isTree := value.(map[string]any)
		old, wasTree := object[key].(map[string]any)
		switch {
		case value == nil:
			delete(object, key)
		case isTree && wasTree:
			mergeInto(old, part)
		case isTree:
			object[key] = maps.Clone(part)
		default:
			object[key] = value
		}
	}
}

func setOf(t *testing.T, f *fixture.Fixture) *policy.Set {
	t.Helper()
	var compiled []*policy.Policy
	for _, p := range f.Policies {
		c, errs := rules.NewCompiler().Compile(p)
		if len(errs) > 0 {
			t.Fatal(errs.ToAggregate())
		}
		compiled = append(compiled, c)
	}
	return policy.NewSet(compiled...)
}

func tree(t *rapid.T, object []byte) map[string]any {
	var parts map[string]any
	decoder := json.NewDecoder(bytes.NewReader(object))
	decoder.UseNumber() // as floating-point numbers, large ones would be equal
	if err := decoder.Decode(&parts); err != nil {
		t.Fatal(err)
	}
	return parts
}

func clone(t *rapid.T, object map[string]any) map[string]any { return tree(t, encode(t, object)) }

func encode(t *rapid.T, object map[string]any) []byte {
	data, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
