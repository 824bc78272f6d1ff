// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package replays

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// dimension is a way to count denied writes. A write with several violations has a value for each.
type dimension struct {
	name string
	of   func(*Item, *ItemViolation) string
}

func dimensions() []dimension {
	return []dimension{
		{"policy", func(_ *Item, v *ItemViolation) string { return v.Policy }},
		{"rule", func(_ *Item, v *ItemViolation) string { return v.Rule }},
		{"field", func(_ *Item, v *ItemViolation) string { return v.Field }},
		{"detail", func(_ *Item, v *ItemViolation) string { return v.Detail }},
		{"node", func(i *Item, _ *ItemViolation) string { return i.Node }},
		{"account", func(i *Item, _ *ItemViolation) string { return i.Account }},
		{"namespace", func(i *Item, _ *ItemViolation) string { return i.Namespace }},
		{"resource", func(i *Item, _ *ItemViolation) string { return i.Resource }},
		{"operation", func(i *Item, _ *ItemViolation) string { return i.Operation }},
		{"agent", func(i *Item, _ *ItemViolation) string { return i.UserAgent }},
		{"day", func(i *Item, _ *ItemViolation) string { return i.Time.Format(time.DateOnly) }},
	}
}

func dimensionNames() []string {
	var names []string
	for _, d := range dimensions() {
		names = append(names, d.name)
	}
	return names
}

// group counts denied writes with the same values.
type group struct {
	values      []string
	writes      int
	first, last time.Time
}

// group counts a denied write in its groups, once in each.
func (t *tally) group(item *Item) {
	if len(t.options.by) == 0 {
		return
	}
	counted := map[string]bool{}
	for i := range item.Violations {
		var values []string
		for _, name := range t.options.by {
			at := slices.IndexFunc(dimensions(), func(d dimension) bool { return d.name == name })
			values = append(values, dimensions()[at].of(item, &item.Violations[i]))
		}
		key := strings.Join(values, "\x00")
		if counted[key] {
			continue
		}
		counted[key] = true
		g := t.groups[key]
		switch {
		case g == nil && len(t.groups) == maxNames:
			t.moreGroups++
			continue
		case g == nil:
			g = &group{values: values, first: item.Time, last: item.Time}
			t.groups[key] = g
		}
		g.writes++
		if item.Time.Before(g.first) {
			g.first = item.Time
		}
		if item.Time.After(g.last) {
			g.last = item.Time
		}
	}
}

// sortedGroups returns the groups, the largest first.
func (t *tally) sortedGroups() []Group {
	groups := slices.SortedFunc(maps.Values(t.groups), func(a, b *group) int {
		return cmp.Or(cmp.Compare(b.writes, a.writes), slices.Compare(a.values, b.values))
	})
	var out []Group
	for _, g := range groups {
		values := map[string]string{}
		for i, name := range t.options.by {
			values[name] = g.values[i]
		}
		out = append(out, Group{Values: values, Writes: g.writes, First: g.first, Last: g.last, ordered: g.values})
	}
	return out
}
