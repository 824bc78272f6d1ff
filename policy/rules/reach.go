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

// compileKeys compiles patterns on keys, such as those of labels. A pattern with a value is an error.
func compileKeys(list []v1alpha1.Pattern, limit int, at *field.Path) (pattern.Patterns, field.ErrorList) {
	ps, errs := pattern.CompileAll(list, limit, at)
	if len(list) > limit {
		return ps, errs
	}
	for i, p := range list {
		errs = append(errs, checkKey(p, at.Index(i))...)
	}
	return ps, errs
}

// checkKey refuses a pattern with a value, such as pool=batch, where only keys are matched.
func checkKey(p v1alpha1.Pattern, at *field.Path) field.ErrorList {
	key, _, found := strings.Cut(string(p), "=")
	if !found {
		return nil
	}
	return field.ErrorList{field.Invalid(at, text.Cut(string(p), text.MaxQuoted), "must be a key without a value, such as "+text.Quote(key))}
}

// checkReachable refuses patterns that match nothing, in a list with which that opens or breaks something.
func checkReachable(list []v1alpha1.Pattern, limit int, of pattern.Texts, at *field.Path) field.ErrorList {
	if len(list) > limit {
		return nil // which is an error already
	}
	var errs field.ErrorList
	for i, p := range list {
		if why := of.Unreachable(p); why != "" && !strings.Contains(string(p), "=") {
			errs = append(errs, unreachable(p, why, at.Index(i)))
		}
	}
	return errs
}

// checkSomeReachable refuses a list that matches nothing at all.
func checkSomeReachable(list []v1alpha1.Pattern, limit int, of pattern.Texts, at *field.Path) field.ErrorList {
	if errs := checkReachable(list, limit, of, at); len(errs) == len(list) {
		return errs
	}
	return nil // the others are warned of
}

func unreachable(p v1alpha1.Pattern, why string, at *field.Path) *field.Error {
	return field.Invalid(at, text.Cut(string(p), text.MaxQuoted), strings.TrimPrefix(why, text.Quote(string(p))+" "))
}

// warnUnreachable warns of the patterns in a list that match nothing.
func warnUnreachable(list []v1alpha1.Pattern, of pattern.Texts, at *field.Path) []string {
	var warnings []string
	for i, p := range list {
		if len(warnings) == policy.MaxWarnings {
			break
		}
		if why := of.Unreachable(p); why != "" {
			warnings = append(warnings, fmt.Sprintf("%s: %s", at.Index(i), why))
		}
	}
	return warnings
}

// warnCovered warns if all that is allowed is also denied.
func warnCovered(allowed, denied []v1alpha1.Pattern, what string, at *field.Path) []string {
	ps, errs := pattern.CompileAll(denied, len(denied), at)
	if len(errs) > 0 || len(allowed) == 0 || slices.ContainsFunc(allowed, func(p v1alpha1.Pattern) bool { return !ps.Covers(p) }) {
		return nil
	}
	return []string{fmt.Sprintf("%s: all of it is denied, so no %s is allowed", at.Child("allowed"), what)}
}

// isReservedPattern reports whether a pattern matches nothing but labels that the NodeRestriction plugin refuses.
func isReservedPattern(p v1alpha1.Pattern) bool {
	domain, _, found := strings.Cut(string(p), "/")
	if !found || strings.Contains(domain, "*") {
		return false
	}
	return isUnder(domain, "node-restriction.kubernetes.io") || !strings.Contains(string(p), "*") && isReservedLabel(string(p))
}

// checkRequired refuses required labels with which no kubelet may register. Patterns with asterisks are trusted unless all that they
// match is reserved.
func checkRequired(required []v1alpha1.Pattern, mayRegister func(key string) bool, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, p := range required {
		exact := !strings.Contains(string(p), "*")
		if (exact || isReservedPattern(p)) && !mayRegister(string(p)) {
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
