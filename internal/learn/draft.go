// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package learn

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"noderestriction.plus/api/v1alpha1"
)

// draft is the spec of a policy as JSON, which elements widen.
type draft map[string]any

func newDraft(spec *v1alpha1.NodeRestrictionPolicySpec) (draft, error) {
	data, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	var d draft
	return d, json.Unmarshal(data, &d)
}

// spec returns the spec of the draft.
func (d draft) spec() (*v1alpha1.NodeRestrictionPolicySpec, error) {
	data, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	spec := &v1alpha1.NodeRestrictionPolicySpec{}
	return spec, json.Unmarshal(data, spec)
}

// get returns the value of a path, or nil.
func (d draft) get(path string) any {
	var value any = map[string]any(d)
	for name := range strings.SplitSeq(path, ".") {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	return value
}

// with returns the draft with elements.
func (d draft) with(fields map[string]*fieldSpec, elements []Element) draft {
	out := draft(clone(map[string]any(d)))
	for _, e := range elements {
		out.add(fields[e.Field], e)
	}
	return out
}

// clone copies the objects of a JSON value; lists are copied when they are changed.
func clone(object map[string]any) map[string]any {
	out := make(map[string]any, len(object))
	for name, value := range object {
		if inner, is := value.(map[string]any); is {
			value = clone(inner)
		}
		out[name] = value
	}
	return out
}

func (d draft) add(f *fieldSpec, e Element) {
	parent, name := map[string]any(d), f.path
	for {
		first, rest, more := strings.Cut(name, ".")
		if !more {
			break
		}
		inner, is := parent[first].(map[string]any)
		if !is {
			inner = map[string]any{}
			parent[first] = inner
		}
		parent, name = inner, rest
	}
	value := f.of(e)
	switch f.shape {
	case list:
		items, has := parent[name].([]any)
		if !has {
			items = f.initial
		}
		if !slices.ContainsFunc(items, func(item any) bool { return sameJSON(item, value) }) {
			items = append(slices.Clip(items), value)
		}
		parent[name] = items
	case bounds:
		bounds, is := parent[name].(map[string]any)
		if !is {
			bounds = map[string]any{}
			parent[name] = bounds
		}
		bounds[e.Key] = value
	case bound:
		if before, is := parent[name].(float64); !is || before < float64(e.Max) {
			parent[name] = float64(e.Max)
		}
	case choice:
		if parent[name] != strongest {
			parent[name] = value
		}
	}
}

// strongest is the choice that includes the others of its field.
const strongest = "Any"

// sameJSON compares two values; one of them may have been decoded.
func sameJSON(a, b any) bool {
	return fmt.Sprint(a) == fmt.Sprint(b) || reflect.DeepEqual(a, b)
}
