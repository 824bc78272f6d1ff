// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/fixture"
	"noderestriction.plus/internal/review"
	"noderestriction.plus/policy"
)

// corpus are writes made of the fixtures of a rule, and policies that turn the rule on.
type corpus struct {
	rule     policy.Rule
	policies []*v1alpha1.NodeRestrictionPolicy
	fixtures []policy.Request // as they are
	writes   []policy.Request
	// perturbed are fixtures with one change: only [corpus.perturb] makes them.
	perturbed []policy.Request
}

// newCorpus makes of each fixture the write itself, the same in reverse, the same without a change, the registration of its object, its
// deletion with a collection, and mixtures with other fixtures, each to every resource that the rule looks at.
func newCorpus(t testing.TB, rule policy.Rule) *corpus {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("../policy/rules/testdata", string(rule.ID), "*", "*.txtar"))
	if err != nil || len(paths) == 0 {
		t.Fatal("there are no fixtures of", rule.ID, err)
	}
	c := &corpus{rule: rule}
	var bases []policy.Request
	seen := map[string]bool{}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := fixture.Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range f.Policies {
			spec, _ := json.Marshal(p.Spec)
			if !seen[string(spec)] && (p.Spec.Match == nil || p.Spec.Match.NodeSelector == nil) && turnsOn(t, p, rule.ID) {
				c.policies = append(c.policies, p)
			}
			seen[string(spec)] = true
		}
		if r, ok := asStored(f.Request); ok {
			bases = append(bases, r)
		}
	}
	c.fixtures = slices.Clone(bases)
	draw := rand.New(rand.NewPCG(1, 2))
	for i := range 24 {
		a, b := bases[i%len(bases)], bases[draw.IntN(len(bases))]
		if a.Operation == b.Operation && a.Resource == b.Resource && a.Subresource == b.Subresource {
			a.Object, a.OldObject = mixed(t, a.Object, b.Object), mixed(t, a.OldObject, b.OldObject)
			bases = append(bases, a)
		}
	}
	for _, r := range bases {
		c.add(r)
	}
	return c
}

func turnsOn(t testing.TB, p *v1alpha1.NodeRestrictionPolicy, id policy.RuleID) bool {
	return slices.ContainsFunc(rulesOf(t, p), func(r policy.Rule) bool { return r.ID == id })
}

// add adds the variants of a write.
func (c *corpus) add(r policy.Request) {
	variants := []policy.Request{r}
	if r.Operation == admissionv1.Update {
		reversed, same, created := r, r, r
		reversed.Object, reversed.OldObject = r.OldObject, r.Object
		same.OldObject = r.Object
		created.Operation, created.Subresource, created.OldObject = admissionv1.Create, "", nil
		variants = append(variants, reversed, same, created)
	}
	if r.Operation == admissionv1.Delete {
		ofCollection := r
		ofCollection.Name = ""
		variants = append(variants, ofCollection)
		if r.Resource == "nodes" { // the same by the kubelet of that Node
			ofCollection.NodeName, ofCollection.User = r.Name, review.UserOf(r.Name)
			variants = append(variants, ofCollection)
		}
	}
	for _, v := range variants {
		for _, target := range c.rule.Targets {
			if v.Resource == target.Resource && slices.Contains(target.Operations, v.Operation) && target.Subresource != policy.AnySubresource {
				w := v
				w.Subresource = target.Subresource
				if stored, ok := asStored(w); ok {
					c.writes = append(c.writes, stored)
				}
			}
		}
		if target := slices.ContainsFunc(c.rule.Targets, func(target policy.Target) bool { return target.Matches(&v) }); target {
			c.writes = append(c.writes, v)
		}
	}
}

// mixed merges two objects: maps by key, lists one after the other.
func mixed(t testing.TB, a, b []byte) []byte {
	t.Helper()
	if len(a) == 0 || len(b) == 0 {
		return a
	}
	var x, y map[string]any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		t.Fatal("not an object")
	}
	data, err := json.Marshal(mix(x, y))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func mix(a, b any) any {
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok {
			return a
		}
		merged := maps.Clone(x)
		for key, value := range y {
			if own, has := merged[key]; has {
				value = mix(own, value)
			}
			merged[key] = value
		}
		return merged
	case []any:
		if y, ok := b.([]any); ok {
			return slices.Concat(x, y)
		}
	}
	return a
}

// perturb adds, for each write of a fixture, writes in which one part of the new or of the stored object is missing, is another one or has an
// element more, or in which that is so of both objects.
func (c *corpus) perturb(t testing.TB) {
	t.Helper()
	add := func(w policy.Request) {
		// An API server validates objects before it asks policies.
		if stored, ok := asStored(w); ok && !bytes.Contains(stored.Object, []byte(`"containers":null`)) {
			c.perturbed = append(c.perturbed, stored)
		}
	}
	for _, r := range c.fixtures {
		eachChangeOf(t, r.Object, func(changed []byte) {
			w := r
			w.Object = changed
			add(w)
			if len(r.OldObject) > 0 {
				w.OldObject, w.Object = changed, changed
				add(w)
			}
		})
		eachChangeOf(t, r.OldObject, func(changed []byte) {
			w := r
			w.OldObject = changed
			add(w)
		})
	}
}

// eachChangeOf calls a function with an object in which one part is changed, for each part in turn.
func eachChangeOf(t testing.TB, object []byte, do func(changed []byte)) {
	t.Helper()
	if len(object) == 0 {
		return
	}
	var root map[string]any
	if err := json.Unmarshal(object, &root); err != nil {
		t.Fatal(err)
	}
	eachChange(root, func(changed any) { do(mustMarshal(changed)) })
}

// eachChange calls a function with a value in which one part is changed, for each part in turn.
func eachChange(value any, do func(changed any)) {
	switch v := value.(type) {
	case string:
		do(v + "x")
		do("")
		if _, err := netip.ParseAddr(v); err == nil {
			do("127.0.0.1")
			do("255.255.255.255")
		}
		if _, err := resource.ParseQuantity(v); err == nil {
			do("1e5000") // which no kubelet prints
			do("0")
		}
	case bool:
		do(!v)
	case float64:
		do(v + 1)
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			without := maps.Clone(v)
			delete(without, key)
			do(without)
			eachChange(v[key], func(changed any) {
				other := maps.Clone(v)
				other[key] = changed
				do(other)
			})
		}
		with := maps.Clone(v)
		with["example.com/another"] = "x"
		do(with)
	case []any:
		for i := range v {
			do(slices.Delete(slices.Clone(v), i, i+1))
			eachChange(v[i], func(changed any) {
				other := slices.Clone(v)
				other[i] = changed
				do(other)
				do(append(slices.Clone(v), changed))
			})
		}
	}
}

// with returns the policies of a corpus as an API server enforces them, with the writes that each looks at.
func (c *corpus) each(t *testing.T, do func(p *v1alpha1.NodeRestrictionPolicy, e *enforced, writes []policy.Request)) {
	t.Helper()
	for _, p := range c.policies {
		for _, kind := range compileFor(t, []*v1alpha1.NodeRestrictionPolicy{p}) {
			var writes []policy.Request
			for _, r := range c.writes {
				if isFor(kind, (&caller{t: t}).attributesOf(r)) {
					writes = append(writes, r)
				}
			}
			if len(writes) == 0 {
				continue
			}
			e, errs := newEnforced(kind)
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			do(p, e, writes)
		}
	}
}

// TestServerAgreesOnMixedWrites holds what is compiled to all policies of a rule's fixtures, with all writes that can be made of them, in
// both forms in which API servers show objects to CEL.
func TestServerAgreesOnMixedWrites(t *testing.T) {
	for _, rule := range expressibleRules() {
		t.Run(string(rule.ID), func(t *testing.T) {
			t.Parallel()
			denied, allowed := 0, 0
			newCorpus(t, rule).each(t, func(p *v1alpha1.NodeRestrictionPolicy, e *enforced, writes []policy.Request) {
				policies := []*v1alpha1.NodeRestrictionPolicy{p}
				for _, r := range writes {
					webhook, verified := byEngine(t, policies, r)
					if !verified {
						continue
					}
					if webhook[rule.ID] {
						denied++
					} else {
						allowed++
					}
					for _, unstructured := range []bool{false, true} {
						server, failure := e.violated(t, (&caller{t: t, unstructured: unstructured}).attributesOf(r))
						if failure != "" {
							t.Fatalf("%s: %s", e.Policy.Name, failure)
						}
						if !isFor(e.Kind, (&caller{t: t}).attributesOf(r)) || excluded(e, r) {
							continue
						}
						if strings.Contains(server[rule.ID], `"more than `) {
							continue // beyond the bounds it denies
						}
						if differ := (verdicts{webhook, server}).disagreement(t, policies, r); differ != nil {
							spec, _ := json.Marshal(p.Spec)
							t.Fatalf("unstructured %v: they disagree on %v of %s: the webhook says %v, the API server %v\n%s\n%s\n%s",
								unstructured, differ, e.Policy.Name, slices.Sorted(maps.Keys(webhook)), server, spec, r.OldObject, r.Object)
						}
					}
				}
			})
			if denied == 0 || allowed == 0 && rule.ID != "lockdown" && rule.ID != "pod-eviction" {
				t.Errorf("%d writes are denied, %d allowed", denied, allowed)
			}
		})
	}
}

// excluded reports whether a match condition excludes a write that the policy is for: one of the resource itself from a policy for all its
// subresources, or of a subresource that has its own.
func excluded(e *enforced, r policy.Request) bool {
	resource := e.Policy.Spec.MatchConstraints.ResourceRules[0].Resources[0]
	name, _, _ := strings.Cut(r.Resource, ".")
	written := name
	if r.Subresource != "" {
		written = fmt.Sprintf("%s/%s", name, r.Subresource)
	}
	return resource != written
}

// grow adds writes with lists and maps beyond all bounds, in the new or in the old object: each list and map of the fixtures, and some of
// the writes made of them.
func (c *corpus) grow() {
	const some = 8
	grown := map[string]int{}
	for i, r := range slices.Concat(c.fixtures, c.writes) {
		for which, object := range []*[]byte{&r.Object, &r.OldObject} {
			original := *object
			var root map[string]any
			if len(original) == 0 || json.Unmarshal(original, &root) != nil {
				continue
			}
			for _, section := range []string{"metadata", "spec", "status"} {
				fields, _ := root[section].(map[string]any)
				for name, value := range fields {
					large := enlarged(value)
					key := fmt.Sprint(r.Operation, r.Subresource, which, section, name)
					if large == nil || i >= len(c.fixtures) && grown[key] >= some {
						continue
					}
					grown[key]++
					fields[name] = large
					if data, err := json.Marshal(root); err == nil {
						*object = data
						if stored, ok := asStored(r); ok {
							c.writes = append(c.writes, stored)
						}
					}
					fields[name] = value
				}
			}
			*object = original
		}
	}
	c.growBoth()
}

// growBoth adds fixtures in which all lists and maps of both objects are enlarged, some within the bounds and some beyond, with a change and
// without one.
func (c *corpus) growBoth() {
	for _, r := range c.fixtures {
		for _, size := range []int{100, 300} {
			large, ok := withLargeLists(r, size, true, true)
			if !ok {
				continue
			}
			c.writes = append(c.writes, large)
			if len(large.OldObject) > 0 && len(large.Object) > 0 {
				large.OldObject = large.Object
				c.writes = append(c.writes, large)
			}
		}
	}
}

// borrow adds the creations of a pod that a rule allows with what the spec of a pod has in the fixtures of another rule: both rules look at
// the same fields.
func (c *corpus) borrow(t testing.TB, from policy.Rule) {
	t.Helper()
	others := newCorpus(t, from).fixtures
	for _, r := range c.fixtures {
		if r.Operation != admissionv1.Create || r.Resource != "pods" || r.Subresource != "" {
			continue
		}
		for _, other := range others {
			var pod map[string]any
			if err := json.Unmarshal(other.Object, &pod); err != nil {
				t.Fatal(err)
			}
			w := r
			w.Object = mixed(t, r.Object, mustMarshal(map[string]any{"spec": pod["spec"]}))
			if stored, ok := asStored(w); ok {
				c.writes, c.fixtures = append(c.writes, stored), append(c.fixtures, stored)
			}
		}
	}
}

// enlarged returns a list or map of 300 elements that begins with the given ones; nil for anything else.
func enlarged(value any) any {
	const size = 300
	switch v := value.(type) {
	case []any:
		if len(v) == 0 || len(v) > size {
			return nil
		}
		return append(slices.Clone(v), slices.Repeat([]any{v[0]}, size-len(v))...)
	case map[string]any:
		large := maps.Clone(v)
		for _, text := range v {
			if _, ok := text.(string); !ok {
				return nil
			}
			for i := range size {
				large[fmt.Sprint("example.com/", i)] = text
			}
			return large
		}
	}
	return nil
}
