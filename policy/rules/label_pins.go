// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy/pattern"
)

// labelPins are the changes of a registered Node's labels that a policy refuses, whatever else allows them.
type labelPins struct {
	fixed  pattern.KeyValues // may not be added, changed or removed
	denied pattern.KeyValues // at registration, so they may not come later either
	named  pattern.KeyValues // in update.allowed by their exact key, which takes precedence over denied
}

func compileLabelPins(
	cfg *v1alpha1.NodeUpdateLabels, registration *v1alpha1.NodeRegistrationLabels, at *field.Path,
) (labelPins, field.ErrorList) {
	var pins labelPins
	fixed, errs := pattern.CompileKeyValues(cfg.Fixed, 128, at.Child("fixed"))
	errs = append(errs, checkReachable(cfg.Fixed, 128, pattern.Labels(), at.Child("fixed"))...)
	pins.fixed = fixed
	if registration != nil {
		// Errors in denied are those of the registration, and errors in allowed those of the update.
		pins.denied, _ = pattern.CompileKeyValues(registration.Denied, 128, at)
	}
	named := slices.DeleteFunc(slices.Clone(cfg.Allowed), func(p v1alpha1.KeyValuePattern) bool {
		key, _, _ := strings.Cut(string(p), "=")
		return strings.Contains(key, "*")
	})
	pins.named, _ = pattern.CompileKeyValues(named, 128, at)
	return pins, errs
}

// take removes the changes that are refused from c, and returns them.
func (p *labelPins) take(c *pairChanges) keyChanges {
	var taken keyChanges
	c.added, taken.added = p.split(c.added, func(key string) (string, bool) {
		return c.updated[key], p.refusesNew(key, c.updated[key])
	})
	c.changed, taken.changed = p.split(c.changed, func(key string) (string, bool) {
		if p.fixes(key, c.old[key]) {
			return c.old[key], true
		}
		return c.updated[key], p.refusesNew(key, c.updated[key])
	})
	c.removed, taken.removed = p.split(c.removed, func(key string) (string, bool) {
		return c.old[key], isPermanentLabel(key) || p.fixes(key, c.old[key])
	})
	return taken
}

// split separates the keys that are refused because of a value. A key stands with that value, as key=value, if values of it matter.
func (p *labelPins) split(keys []string, refuses func(key string) (value string, refused bool)) (kept, refused []string) {
	for _, key := range keys {
		value, is := refuses(key)
		switch {
		case !is:
			kept = append(kept, key)
		case p.fixed.ValueMatters(key) || p.denied.ValueMatters(key):
			refused = append(refused, key+"="+value)
		default:
			refused = append(refused, key)
		}
	}
	return kept, refused
}

func (p *labelPins) fixes(key, value string) bool { return !isComputedLabel(key) && p.fixed.Match(key, value) }

func (p *labelPins) refusesNew(key, value string) bool {
	return p.fixes(key, value) || !isComputedLabel(key) && p.denied.Match(key, value) && !p.named.Match(key, value)
}
