// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"slices"

	"noderestriction.plus/api/v1alpha1"
)

// Effect is what a change does to the writes that a policy lets pass.
type Effect uint8

// Effects. Both is Narrower and Wider.
const (
	// Same changes no write.
	Same Effect = 0
	// Narrower means that some writes may violate the policy that did not.
	Narrower Effect = 1
	// Wider means that some writes may no longer violate the policy.
	Wider Effect = 2
	Both         = Narrower | Wider
)

// String returns same, narrower, wider or both.
func (e Effect) String() string { return [...]string{"same", "narrower", "wider", "both"}[e&Both] }

// MarshalText implements [encoding.TextMarshaler]. It returns no error.
func (e Effect) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// effectOf returns an effect, given whether what is allowed grows, and whether it shrinks.
func effectOf(grows, shrinks bool) Effect {
	e := Same
	if grows {
		e |= Wider
	}
	if shrinks {
		e |= Narrower
	}
	return e
}

// inverse returns the effect on what is not listed.
func (e Effect) inverse() Effect { return effectOf(e&Narrower != 0, e&Wider != 0) }

// Change is a changed field.
type Change struct {
	Field  string `json:"field,omitempty"` // path, such as spec.nodes.labels.update.allowed; empty: the whole policy
	Effect Effect `json:"effect"`
	// Old and New are the values, or the elements of a list that only one of the policies has. An omitted field is shown as "omitted: "
	// and what it stands for.
	Old []string `json:"old"`
	New []string `json:"new"`
}

// Names of what is not in a policy.
const (
	sectionOff = "off"
	sectionOn  = "on"
)

type spec = v1alpha1.NodeRestrictionPolicySpec

// Compare returns the changed fields of a policy, in the order of the API.
func Compare(old, updated *spec) []Change {
	var changes []Change
	for _, compare := range fields() {
		changes = append(changes, compare(old, updated)...)
	}
	if old.Subjects != nil && updated.Subjects != nil {
		return ofAgents(changes)
	}
	return changes
}

// comparison compares a part of two policies.
type comparison func(old, updated *spec) []Change

// leaf compares a field of a part. The changes have names below the part.
type leaf[T any] func(old, updated *T) []Change

// part compares a part that is as good as empty if it is omitted.
func part[T any](name string, get func(*spec) *T, leaves ...leaf[T]) comparison {
	return func(old, updated *spec) []Change {
		return below(name, orEmpty(get(old)), orEmpty(get(updated)), leaves)
	}
}

// section compares a section, which turns a rule on.
func section[T any](name string, get func(*spec) *T, leaves ...leaf[T]) comparison {
	return func(old, updated *spec) []Change {
		was, is := get(old), get(updated)
		switch {
		case was == nil && is == nil:
			return nil
		case was == nil:
			return []Change{{Field: "spec." + name, Effect: Narrower, Old: []string{sectionOff}, New: []string{sectionOn}}}
		case is == nil:
			return []Change{{Field: "spec." + name, Effect: Wider, Old: []string{sectionOn}, New: []string{sectionOff}}}
		}
		return below(name, was, is, leaves)
	}
}

func below[T any](name string, old, updated *T, leaves []leaf[T]) []Change {
	var changes []Change
	for _, compare := range leaves {
		for _, c := range compare(old, updated) {
			c.Field = "spec." + name + "." + c.Field
			changes = append(changes, c)
		}
	}
	return changes
}

// orEmpty returns what p points to, or an empty value.
func orEmpty[T any](p *T) *T {
	if p == nil {
		return new(T)
	}
	return p
}

// omission is what an omitted field stands for.
type omission[E any] struct {
	value []E
	says  string
}

// list is a field with a list.
type list[T, E any] struct {
	name    string
	get     func(*T) []E
	kind    kind[E]
	omitted omission[E]
}

// allows compares a list of what is allowed.
func (l list[T, E]) allows() leaf[T] { return l.compare(func(e Effect) Effect { return e }) }

// denies compares a list of what is denied, or checked.
func (l list[T, E]) denies() leaf[T] { return l.compare(Effect.inverse) }

func (l list[T, E]) compare(effect func(Effect) Effect) leaf[T] {
	return func(old, updated *T) []Change {
		was, is := l.get(old), l.get(updated)
		before, after := only(l.kind.text, was, is), only(l.kind.text, is, was)
		if len(before)+len(after) == 0 {
			return nil
		}
		c := Change{Field: l.name, Old: before, New: after, Effect: effect(l.kind.effect(l.effective(was), l.effective(is)))}
		if len(was) == 0 {
			c.Old = []string{omittedText(l.omitted.says)}
		}
		if len(is) == 0 {
			c.New = []string{omittedText(l.omitted.says)}
		}
		return []Change{c}
	}
}

// effective returns what a list stands for.
func (l list[T, E]) effective(given []E) []E {
	if len(given) == 0 {
		return l.omitted.value
	}
	return given
}

func omittedText(says string) string { return "omitted: " + says }

// only returns the texts of what is in one list and not in another.
func only[E any](text func(E) string, one, other []E) []string {
	var others []string
	texts := []string{}
	for _, e := range other {
		others = append(others, text(e))
	}
	for _, e := range one {
		if t := text(e); !slices.Contains(others, t) {
			texts = append(texts, t)
		}
	}
	return texts
}

// choice compares a field with one of some values, the narrowest first.
func choice[T any, E ~string](name string, get func(*T) E, omitted E, values ...E) leaf[T] {
	return func(old, updated *T) []Change {
		was, is := get(old), get(updated)
		if was == is {
			return nil
		}
		width := func(e E) int {
			if e == "" {
				e = omitted
			}
			return slices.Index(values, e)
		}
		return []Change{{
			Field: name, Effect: effectOf(width(is) > width(was), width(is) < width(was)),
			Old: []string{valueText(string(was), string(omitted))}, New: []string{valueText(string(is), string(omitted))},
		}}
	}
}

func valueText(value, omitted string) string {
	if value == "" {
		return omittedText(omitted)
	}
	return value
}
