// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"slices"
	"strings"

	"noderestriction.plus/policy/expression"
)

// Line decides for a kind of write which webhook it is sent to: both are expressions in CEL, for clients that are kubelets.
type Line struct {
	Write Write
	// Gate is true for writes that are refused while the webhook is down.
	Gate string
	// Open is true for writes that pass while the webhook is down, but are evaluated otherwise. Where Gate is true, it does not matter.
	Open string
}

// MaxLineCost is the largest cost of the violations of a line. The rest of the budget of an expression, 1,000,000, is for what they are
// added to.
const MaxLineCost = 500_000

// With returns a line that sends to the gate what certainly violates one of the policies that deny, in addition to what the gate has, and
// to the open webhook only what may violate any of the policies beyond that. Other kinds of writes are left out. The violations that would
// exceed the budget are returned: for them, the open webhook is sent whatever it was sent before.
func (l Line) With(violations []Violation) (Line, []Violation) {
	var certain, others, omitted []Violation
	cost := uint64(0)
	for i := range violations {
		v := violations[i]
		if v.Write != l.Write {
			continue
		}
		if cost += v.Cost; cost > MaxLineCost {
			cost -= v.Cost
			omitted = append(omitted, v)
			continue
		}
		if v.Denies {
			certain = append(certain, v)
		} else {
			others = append(others, v)
		}
	}
	line := Line{Write: l.Write, Gate: expression.Or(l.Gate, AnyOf(certain, Certain)), Open: l.Open}
	if len(omitted) == 0 {
		line.Open = expression.And(l.Open, expression.Or(AnyOf(others, Possible), AnyOf(certain, Missed)))
	}
	return line, omitted
}

// Registering returns a line that only evaluates what may violate one of the policies, for writes that are never refused by a gate, such as
// the registration of a Node. The other result is that of [Line.With].
func (l Line) Registering(violations []Violation) (Line, []Violation) {
	others := slices.Clone(violations)
	for i := range others {
		others[i].Denies = false
	}
	return l.With(others)
}

// Condition returns the match condition of the gate, or of the open webhook. It is true for clients that are no kubelets, and for other
// kinds of writes than that of the line, given all kinds of writes of the webhook.
func (l Line) Condition(gate bool, all []Write) (name, condition string) {
	sent := l.Gate
	if !gate {
		sent = expression.And(l.Open, expression.Not(l.Gate))
	}
	return l.Write.String(), expression.Or(expression.Not(expression.And(IsKubelet, l.Write.Is(all))), sent)
}

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
