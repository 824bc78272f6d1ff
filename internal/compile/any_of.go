// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"slices"
	"strings"

	"noderestriction.plus/policy/expression"
)

// IsKubelet says that the client is a kubelet.
const IsKubelet = userName + ".startsWith('" + expression.UserPrefix + "')"

// Certain is [Violation.Certain], for [AnyOf].
func Certain(v *Violation) (e string, compared []string) { return v.Certain, v.CertainCompared }

// Possible is [Violation.Possible], for [AnyOf].
func Possible(v *Violation) (e string, compared []string) { return v.Possible, v.Compared }

// Missed is [Violation.Missed], for [AnyOf].
func Missed(v *Violation) (e string, compared []string) { return v.Missed, v.Compared }

// AnyOf says, in one of the forms of violations, that a write violates one of them. It compares the fields first that most writes do not
// change, and evaluates the same expression once.
func AnyOf(violations []Violation, form func(*Violation) (e string, compared []string)) string {
	var rest, quiet []string
	var groups []group
	for i := range violations {
		e, compared := form(&violations[i])
		if e == expression.False {
			continue
		}
		at := slices.IndexFunc(groups, func(g group) bool { return slices.Equal(g.paths, compared) })
		if at < 0 {
			at = len(groups)
			groups = append(groups, group{paths: compared})
		}
		if !slices.Contains(groups[at].either, e) {
			groups[at].either = append(groups[at].either, e)
		}
	}
	var paths []string
	for _, g := range groups {
		e := expression.Or(g.either...)
		if len(g.paths) > 0 {
			e = expression.And(expression.Differ(g.paths...), e)
		}
		if len(g.paths) == 0 || slices.ContainsFunc(g.paths, isNoisy) {
			rest = append(rest, e)
			continue
		}
		quiet = append(quiet, e)
		paths = append(paths, g.paths...)
	}
	if len(quiet) > 1 {
		return expression.Or(append(rest, expression.And(expression.Differ(parents(paths)...), expression.Or(quiet...)))...)
	}
	return expression.Or(append(rest, quiet...)...)
}

// group is expressions that compare the same fields.
type group struct{ paths, either []string }

// isNoisy reports whether most updates of a status change a field.
func isNoisy(path string) bool {
	return slices.Contains([]string{
		"metadata", "metadata.managedFields", "status", "status.conditions", "status.containerStatuses", "status.phase",
	}, path)
}

// parents returns the paths, sorted and each once, without what is beyond the field of a spec or a status.
func parents(paths []string) []string {
	shortened := make([]string, len(paths))
	for i, path := range paths {
		names := strings.SplitN(path, ".", 3)
		shortened[i] = strings.Join(names[:min(2, len(names))], ".")
	}
	slices.Sort(shortened)
	return slices.Compact(shortened)
}
