// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"noderestriction.plus/internal/auditlog"
	"noderestriction.plus/internal/fixture"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

// fixtures calls a function with each fixture of the rules, and the policies in it.
func fixtures(t *testing.T, each func(t *testing.T, rule string, f *fixture.Fixture, set *policy.Set)) {
	t.Helper()
	root := filepath.Join("..", "..", "policy", "rules", "testdata")
	compiler := rules.NewCompiler()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".txtar") {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f, err := fixture.Parse(data)
		if err != nil {
			return err
		}
		if !f.Request.Subject.IsKubelet() {
			return nil // an audit log is replayed for kubelets
		}
		var compiled []*policy.Policy
		for _, p := range f.Policies {
			one, _ := compiler.Compile(p)
			compiled = append(compiled, one)
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		rule, _, _ := strings.Cut(filepath.ToSlash(relative), "/")
		each(t, rule, f, policy.NewSet(compiled...))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// messages are the violations of a decision.
func messages(d policy.Decision) []string {
	var all []string
	for _, v := range d.Violations {
		all = append(all, string(v.Rule)+" "+v.Field+" "+v.Detail)
	}
	return all
}

// The other rules see nothing of a Node or a pod but its parts, so that gaps in them are noticed.
func TestTheOtherRulesReadParts(t *testing.T) {
	t.Parallel()
	whole := []string{string(directUpdates), string(baselinePods)}
	checked := 0
	fixtures(t, func(t *testing.T, rule string, f *fixture.Fixture, set *policy.Set) {
		t.Helper()
		r := f.Request
		w := &written{resource: r.Resource}
		w.event = eventOf(r.Resource, r.Subresource)
		if !w.hasParts() || slices.Contains(whole, rule) {
			return
		}
		want := messages(set.Evaluate(&r))
		hidden := f.Request
		hidden.Parts, hidden.OldParts = partsOf(hidden.Object), partsOf(hidden.OldObject)
		if hidden.Parts == nil && hidden.Object != nil || hidden.OldParts == nil && hidden.OldObject != nil {
			return // it cannot be read
		}
		for _, raw := range []*[]byte{&hidden.Object, &hidden.OldObject} {
			if *raw != nil {
				*raw = []byte(`{"metadata":{"name":"hidden"}}`)
			}
		}
		checked++
		if got := messages(set.Evaluate(&hidden)); !slices.Equal(got, want) {
			t.Errorf("%s: %s: without the whole objects the verdict is %q, not %q", rule, f.Comment, got, want)
		}
	})
	if checked < 300 {
		t.Errorf("only %d fixtures were checked", checked)
	}
}

// Blind rules read only the names of other resources.
func TestBlindRulesReadNames(t *testing.T) {
	t.Parallel()
	checked := map[string]bool{}
	fixtures(t, func(t *testing.T, rule string, f *fixture.Fixture, set *policy.Set) {
		t.Helper()
		w := &written{resource: f.Request.Resource, event: eventOf(f.Request.Resource, f.Request.Subresource)}
		if !slices.Contains(blind(), policy.RuleID(rule)) || w.hasParts() || f.Request.Name == "" {
			return
		}
		seen, hidden := f.Request, f.Request
		name := onlyName(key{name: f.Request.Name})
		for _, raw := range []*[]byte{&hidden.Object, &hidden.OldObject} {
			if *raw != nil {
				*raw = name
			}
		}
		if want, got := messages(set.Evaluate(&seen)), messages(set.Evaluate(&hidden)); !slices.Equal(got, want) {
			t.Errorf("%s: %s: without the object the verdict is %q, not %q", rule, f.Comment, got, want)
		}
		checked[rule] = true
	})
	for _, id := range blind() {
		if !checked[string(id)] && id != "lockdown" { // it reads nothing at all
			t.Errorf("%s: no fixture was checked", id)
		}
	}
}

// Each rule in the tables exists.
func TestTheTablesNameRules(t *testing.T) {
	t.Parallel()
	known := map[policy.RuleID]bool{}
	for _, r := range rules.All() {
		known[r.ID] = true
	}
	for id := range covered() {
		if !known[id] {
			t.Errorf("there is no rule %s", id)
		}
	}
}

func eventOf(resource, subresource string) *auditlog.Event {
	return &auditlog.Event{ObjectRef: auditlog.ObjectRef{Resource: resource, Subresource: subresource}}
}
