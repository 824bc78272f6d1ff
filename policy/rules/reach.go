// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/pattern"
)

// checkKey refuses a pattern with a value, such as pool=batch, where only keys are matched.
func checkKey(p v1alpha1.Pattern, at *field.Path) field.ErrorList {
	key, _, found := strings.Cut(string(p), "=")
	if !found {
		return nil
	}
	return field.ErrorList{field.Invalid(at, text.Cut(string(p), text.MaxQuoted), "must be a key without a value, such as "+text.Quote(key))}
}

// checkReachable refuses patterns that match nothing, in a list with which that opens or breaks something.
func checkReachable[P ~string](list []P, limit int, of pattern.Texts, at *field.Path) field.ErrorList {
	if len(list) > limit {
		return nil // which is an error already
	}
	var errs field.ErrorList
	for i, p := range list {
		if why := of.Unreachable(string(p)); why != "" {
			errs = append(errs, unreachable(string(p), why, at.Index(i)))
		}
	}
	return errs
}

// checkSomeReachable refuses a list that matches nothing at all.
func checkSomeReachable[P ~string](list []P, limit int, of pattern.Texts, at *field.Path) field.ErrorList {
	if errs := checkReachable(list, limit, of, at); len(errs) == len(list) {
		return errs
	}
	return nil // the others are warned of
}

func unreachable(p, why string, at *field.Path) *field.Error {
	return field.Invalid(at, text.Cut(p, text.MaxQuoted), strings.TrimPrefix(why, text.Quote(p)+" "))
}

// warnUnreachable warns of the patterns in a list that match nothing.
func warnUnreachable[P ~string](list []P, of pattern.Texts, at *field.Path) []string {
	var warnings []string
	for i, p := range list {
		if len(warnings) == policy.MaxWarnings {
			break
		}
		if why := of.Unreachable(string(p)); why != "" {
			warnings = append(warnings, fmt.Sprintf("%s: %s", at.Index(i), why))
		}
	}
	return warnings
}

// warnCovered warns if all labels that are allowed are also denied.
func warnCovered(allowed, denied []v1alpha1.KeyValuePattern, what string, at *field.Path) []string {
	ps, errs := pattern.CompileKeyValues(denied, len(denied), at)
	if len(errs) > 0 || len(allowed) == 0 || slices.ContainsFunc(allowed, func(p v1alpha1.KeyValuePattern) bool { return !ps.Covers(p) }) {
		return nil
	}
	return []string{fmt.Sprintf("%s: all of it is denied, so no %s is allowed", at.Child("allowed"), what)}
}

// isReservedPattern reports whether a pattern matches nothing but labels that the NodeRestriction plugin refuses.
func isReservedPattern(p v1alpha1.KeyValuePattern) bool {
	key, _, _ := strings.Cut(string(p), "=")
	domain, _, found := strings.Cut(key, "/")
	if !found || strings.Contains(domain, "*") {
		return false
	}
	return isUnder(domain, "node-restriction.kubernetes.io") || !strings.Contains(key, "*") && isReservedLabel(key)
}

// checkRequired refuses required labels with which no kubelet may register. Patterns with asterisks are trusted unless all that they
// match is reserved, and so are patterns without a value where the values of the label matter.
func checkRequired(
	required []v1alpha1.KeyValuePattern, mayRegister func(key, value string) bool, valueMatters func(key string) bool, at *field.Path,
) field.ErrorList {
	var errs field.ErrorList
	for i, p := range required {
		if pattern.Labels().Unreachable(string(p)) != "" {
			continue // which is an error already
		}
		key, value, hasValue := strings.Cut(string(p), "=")
		trusted := strings.Contains(string(p), "*") && !isReservedPattern(p) || !hasValue && valueMatters(key)
		if !trusted && !mayRegister(key, value) {
			errs = append(errs, field.Invalid(at.Index(i), text.Cut(string(p), text.MaxQuoted),
				"no kubelet may register with this label, so no kubelet could register"))
		}
	}
	return errs
}

// checkSomeAddress refuses allowed ranges that are all denied.
func checkSomeAddress(allowed, denied []netip.Prefix, at *field.Path) field.ErrorList {
	for _, a := range allowed {
		if !slices.ContainsFunc(denied, func(d netip.Prefix) bool { return d.Bits() <= a.Bits() && d.Contains(a.Addr()) }) {
			return nil
		}
	}
	if len(allowed) == 0 {
		return nil
	}
	return field.ErrorList{field.Invalid(at, len(allowed), "every range is also denied, so no address could be reported")}
}
