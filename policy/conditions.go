package policy

import "slices"

// compareConditions compares by type: a status patch may move conditions that it does not change.
func compareConditions(old, updated []Condition) keyChanges {
	var c keyChanges
	if slices.Equal(old, updated) {
		return c
	}
	before := byType(old)
	after := byType(updated)
	for t, condition := range after {
		if was, had := before[t]; !had {
			c.added = append(c.added, t)
		} else if !slices.Equal(was, condition) {
			c.changed = append(c.changed, t)
		}
	}
	for t := range before {
		if _, has := after[t]; !has {
			c.removed = append(c.removed, t)
		}
	}
	slices.Sort(c.added)
	slices.Sort(c.changed)
	slices.Sort(c.removed)
	return c
}

// byType groups conditions, so that a second one of a type does not hide behind the first.
func byType(conditions []Condition) map[string][]Condition {
	groups := make(map[string][]Condition, len(conditions))
	for _, c := range conditions {
		groups[c.Type] = append(groups[c.Type], c)
	}
	return groups
}
