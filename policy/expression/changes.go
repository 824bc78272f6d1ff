// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package expression

import (
	"fmt"
	"strconv"
)

// The bounds of what expressions iterate over. A write that changes a longer list or map violates the rule, unless the scope lets it pass.
// They are beyond what stock kubelets write. The time of an iteration grows with the square of the size, although its cost grows linearly.
const (
	MaxKeys       = 256
	MaxItems      = 256
	MaxConditions = 64 // of other writers
	MaxOwners     = 32
	MaxAddresses  = 64
	MaxVolumes    = 64
	MaxSources    = 32 // of a projected volume
	MaxManagers   = 128
	MaxPath       = 1024 // characters of a path
	MaxText       = 1024 // characters of a list of addresses in a text
)

func number(n int) string { return strconv.Itoa(n) }

// Changed says that two values differ.
func Changed(old, updated string) string { return Not(Same(old, updated)) }

// Longer says that one of the lists or maps has more elements than a bound, or than half of it in an inline scope, where the expressions of
// all rules share one budget.
func (s *Scope) Longer(bound int, lists ...string) string {
	if s.Inline {
		bound /= 2
	}
	var parts []string
	for _, list := range lists {
		if list != None && list != "{}" {
			parts = append(parts, fmt.Sprintf("size(%s) > %d", list, bound))
		}
	}
	longer := Or(parts...)
	s.noteBound(longer)
	return longer
}

// Within returns names where a value changes and no list or map is longer than a bound. A longer one violates the rule, with a name that
// says what the elements are, or passes, as the scope says.
func (s *Scope) Within(bound int, what, old, updated, names string) string {
	if names == None {
		return None
	}
	longer := List(fmt.Sprintf("more than %d %s", bound, what))
	if s.BeyondPasses {
		longer = None
	}
	return If(Same(old, updated), None, If(s.Longer(bound, old, updated), longer, names))
}

// Bounded says that a condition is true, or that a size is beyond its bound. If the scope lets those pass, it says that the condition is
// true and no size is beyond its bound. Without the bound, the condition may be expensive.
func (s *Scope) Bounded(beyond, condition string) string {
	s.noteBound(beyond)
	if s.BeyondPasses {
		return And(Not(beyond), condition)
	}
	return Or(beyond, condition)
}

// Same says that two values are equal. A literal of an empty list or map stands for an object that does not exist.
func Same(old, updated string) string {
	for empty, other := range map[string]string{old: updated, updated: old} {
		if empty == None || empty == "{}" {
			return "size(" + other + ") == 0"
		}
	}
	return old + " == " + updated
}

// ChangedPairs returns the keys of a map that are added, changed or removed where refused: the new value of an added key, the old one of a
// removed key, either of a changed one.
func (s *Scope) ChangedPairs(old, updated string, refused func(key, value string) string) string {
	ofNew, ofOld := refused("key", updated+"[key]"), refused("key", old+"[key]")
	removed := differing(old, updated, ofOld)
	if ofNew == ofOld { // the value does not matter, so a changed key is already in the first list
		removed = removedKeys(old, updated, ofOld)
	}
	return s.Within(MaxKeys, "keys", old, updated, Sum(differing(updated, old, ofNew), removed))
}

// removedKeys returns the keys of a map that another does not have, where a condition is true.
func removedKeys(of, other, condition string) string {
	if other == "{}" {
		return Filter(of, "key", condition)
	}
	return Filter(of, "key", And("!(key in "+other+")", condition))
}

// differing returns the keys of a map that another does not have with the same value, where a condition is true.
func differing(of, other, condition string) string {
	if other == "{}" {
		return Filter(of, "key", condition)
	}
	return Filter(of, "key", And(fmt.Sprintf("!(key in %[1]s && %[1]s[key] == %[2]s[key])", other, of), condition))
}

// ChangedKeys is [ChangedPairs] where the value does not matter.
func (s *Scope) ChangedKeys(old, updated string, refused func(key string) string) string {
	return s.ChangedPairs(old, updated, func(key, _ string) string { return refused(key) })
}

// AddedPairs returns the keys of the updated map that are new or have a new value, where refused.
func (s *Scope) AddedPairs(old, updated string, refused func(key, value string) string) string {
	return s.Within(MaxKeys, "keys", old, updated, differing(updated, old, refused("key", updated+"[key]")))
}

// ChangedItems returns the texts that are in only one of two lists, where refused.
func (s *Scope) ChangedItems(old, updated string, refused func(item string) string) string {
	return s.Within(MaxItems, "items", old, updated, Sum(absent(updated, old, refused("item")), absent(old, updated, refused("item"))))
}

// AddedItems returns the texts that are in the updated list only, where refused.
func (s *Scope) AddedItems(old, updated string, refused func(item string) string) string {
	return s.Within(MaxItems, "items", old, updated, absent(updated, old, refused("item")))
}

func absent(of, other, condition string) string {
	if other == None {
		return Filter(of, "item", condition)
	}
	return Filter(of, "item", And("!(item in "+other+")", condition))
}

// Always refuses everything.
func Always(string) string { return True }

// ChangedGroups returns the names of the groups of elements that differ between two lists, where refused. The text groups an element e.
func ChangedGroups(old, updated, text string, refused func(name string) string) string {
	group := func(of string) string { return of + ".filter(e, " + text + " == name)" }
	differs := "true"
	if old != None {
		differs = group(updated) + " != " + group(old)
	}
	names := updated + ".map(e, " + text + ")"
	if old != None {
		names = "(" + names + " + " + old + ".map(e, " + text + "))"
	}
	return Filter(names, "name", And(differs, refused("name")))
}

// Texts returns a list of texts made of the elements e of a list.
func Texts(of, text string) string {
	if of == None {
		return None
	}
	return of + ".map(e, " + text + ")"
}

// ChangedPairsBy is [ChangedPairs] with other conditions for the new values, of added and changed keys, and for the old ones, of changed
// and removed keys.
func (s *Scope) ChangedPairsBy(old, updated string, refusedNew, refusedOld func(key, value string) string) string {
	return s.Within(MaxKeys, "keys", old, updated, Sum(
		differing(updated, old, refusedNew("key", updated+"[key]")),
		differing(old, updated, refusedOld("key", old+"[key]"))))
}

// Missing returns the texts of a list that are not in another one.
func Missing(of, other string) string { return absent(of, other, True) }

// Absent says that a value is not in a list.
func Absent(value, list string) string {
	if list == None {
		return True
	}
	return "!(" + value + " in " + list + ")"
}
