// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"maps"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
	"noderestriction.plus/policy/object"
)

// keyChanges are the keys by which two maps differ. Each list is sorted.
type keyChanges struct {
	added, changed, removed []string
}

// compareKeys compares two maps. A key with an empty value differs from a missing key.
func compareKeys(old, updated map[string]string) keyChanges {
	if maps.Equal(old, updated) {
		return keyChanges{}
	}
	return compareMaps(old, updated, func(a, b string) bool { return a == b })
}

// compareMaps is compareKeys for values of other types.
func compareMaps[V any](old, updated map[string]V, same func(a, b V) bool) keyChanges {
	var c keyChanges
	for key, value := range updated {
		if before, had := old[key]; !had {
			c.added = append(c.added, key)
		} else if !same(before, value) {
			c.changed = append(c.changed, key)
		}
	}
	for key := range old {
		if _, has := updated[key]; !has {
			c.removed = append(c.removed, key)
		}
	}
	slices.Sort(c.added)
	slices.Sort(c.changed)
	slices.Sort(c.removed)
	return c
}

// none reports whether there are no changes.
func (c *keyChanges) none() bool { return len(c.added)+len(c.changed)+len(c.removed) == 0 }

// except returns the changes of keys for which allowed is false.
func (c keyChanges) except(allowed func(key string) bool) keyChanges {
	if c.none() {
		return c
	}
	return keyChanges{without(c.added, allowed), without(c.changed, allowed), without(c.removed, allowed)}
}

// and returns the changes of both.
func (c keyChanges) and(others keyChanges) keyChanges {
	return keyChanges{
		sortedJoin(c.added, others.added), sortedJoin(c.changed, others.changed), sortedJoin(c.removed, others.removed),
	}
}

func sortedJoin(a, b []string) []string {
	if len(b) == 0 {
		return a
	}
	joined := slices.Concat(a, b)
	slices.Sort(joined)
	return joined
}

// pairChanges are the changes of labels or annotations where values matter, too.
type pairChanges struct {
	keyChanges
	old, updated map[string]string
}

// comparePairs is [compareKeys] for a rule whose policies may name values.
func comparePairs(old, updated map[string]string) pairChanges {
	return pairChanges{compareKeys(old, updated), old, updated}
}

// except returns the changes for which allowed is false: of the new value where a key is added, of the old one where it is removed, of
// either where it is changed. A key stands with that value, as key=value, if valueMatters.
func (c pairChanges) except(allowed func(key, value string) bool, valueMatters func(key string) bool) keyChanges {
	return keyChanges{
		added:   refusedPairs(c.added, allowed, valueMatters, c.updated),
		changed: refusedPairs(c.changed, allowed, valueMatters, c.updated, c.old),
		removed: refusedPairs(c.removed, allowed, valueMatters, c.old),
	}
}

// refusedPairs returns the keys whose value in one of the maps is not allowed.
func refusedPairs(
	keys []string, allowed func(key, value string) bool, valueMatters func(key string) bool, maps ...map[string]string,
) []string {
	var refused []string
	for _, key := range keys {
		i := slices.IndexFunc(maps, func(m map[string]string) bool { return !allowed(key, m[key]) })
		switch {
		case i < 0:
		case valueMatters(key):
			refused = append(refused, key+"="+maps[i][key])
		default:
			refused = append(refused, key)
		}
	}
	return refused
}

// violations has one violation of the field for each kind of change.
func (c keyChanges) violations(field string) []policy.Violation {
	return c.violationsOf(field, "")
}

// violationsOf is violations with a noun before the keys, for rules whose name does not say what the keys are.
func (c keyChanges) violationsOf(field, noun string) []policy.Violation {
	if c.none() {
		return nil
	}
	if noun != "" {
		noun = " " + noun
	}
	var vs []policy.Violation
	vs = appendViolation(vs, field, "must not add"+noun, c.added)
	vs = appendViolation(vs, field, "must not change"+noun, c.changed)
	vs = appendViolation(vs, field, "must not remove"+noun, c.removed)
	return vs
}

// compareSets compares two lists without regard to their order, in time linear in their lengths apart from sorting.
func compareSets(old, updated []string) keyChanges {
	if slices.Equal(old, updated) {
		return keyChanges{}
	}
	return keyChanges{added: missing(updated, old), removed: missing(old, updated)}
}

// missing returns the strings of from that are not in the other list, sorted, each once.
func missing(from, in []string) []string {
	has := make(map[string]bool, len(in))
	for _, s := range in {
		has[s] = true
	}
	absent := without(from, func(s string) bool { return has[s] })
	slices.Sort(absent)
	return slices.Compact(absent)
}

// without returns the strings for which drop is false.
func without(list []string, drop func(string) bool) []string {
	var kept []string
	for _, s := range list {
		if !drop(s) {
			kept = append(kept, s)
		}
	}
	return kept
}

// appendViolation appends a violation with the values, if there are any.
func appendViolation(vs []policy.Violation, field, verb string, values []string) []policy.Violation {
	if len(values) == 0 {
		return vs
	}
	return append(vs, policy.Violation{Field: field, Detail: verb + " " + text.QuoteAll(values)})
}

// compareConditions compares conditions by type, without the writable types. Their order does not matter, since a patch may reorder
// conditions that it does not change.
func compareConditions(old, updated object.Conditions, writable func(conditionType string) bool) keyChanges {
	return compareMaps(old.ByType(writable), updated.ByType(writable), func(a, b object.Conditions) bool {
		return slices.EqualFunc(a, b, object.Condition.Same)
	})
}

// compareValues is compareKeys for JSON values.
func compareValues(old, updated map[string]jsontext.Value) keyChanges {
	before, after := map[string]string{}, map[string]string{}
	for key, value := range old {
		if c := object.Canonical(value); c != nil {
			before[key] = string(c)
		}
	}
	for key, value := range updated {
		if c := object.Canonical(value); c != nil {
			after[key] = string(c)
		}
	}
	return compareKeys(before, after)
}

// expressConditions is [compareConditions] in CEL. It leaves out the stock types and those that match a pattern. Conditions of others may
// be many; the list of them is compared before their types are. A type, called name, may change where mayChange is true.
func expressConditions(
	on *expression.Scope, allowed []v1alpha1.Pattern, stock []string, mayChange func(old, updated string) string,
) []expression.Expression {
	old, updated := on.Both("status.conditions", "[]")
	foreign := func(of, name string) string {
		if of == expression.None {
			return of
		}
		writable := expression.Or(expression.In("e.type", stock...), expression.Matches("e.type", allowed))
		others := expression.Filter(of, "e", expression.Not(writable))
		return on.Define(name, expression.If(on.Longer(expression.MaxItems, of), of, others))
	}
	before, after := foreign(old, "oldForeignConditions"), foreign(updated, "newForeignConditions")
	names := expression.ChangedGroups(before, after, "e.type", func(string) string { return expression.Not(mayChange(before, after)) })
	return []expression.Expression{
		named("status.conditions", "must not change", expression.If(expression.Same(old, updated), expression.None,
			on.Within(expression.MaxConditions, "conditions", before, after, names))),
	}
}
