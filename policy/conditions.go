package policy

import "slices"

// compareConditions compares by type: a status patch may move conditions that it does not change.
func compareConditions(old, updated []Condition) keyChanges {
	if slices.Equal(old, updated) {
		return keyChanges{}
	}
	return compareMaps(byType(old), byType(updated), slices.Equal[[]Condition])
}

// byType groups conditions, so that a second one of a type does not hide behind the first.
func byType(conditions []Condition) map[string][]Condition {
	groups := make(map[string][]Condition, len(conditions))
	for _, c := range conditions {
		groups[c.Type] = append(groups[c.Type], c)
	}
	return groups
}
