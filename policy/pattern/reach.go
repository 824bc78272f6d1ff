// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package pattern

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/text"
)

// Texts is a kind of texts that patterns match, such as label keys.
type Texts struct {
	name  string            // in the singular
	valid func(string) bool // reports whether there can be such a text, or such a key
	value func(string) bool // reports whether there can be such a value; nil if patterns have no values
}

// Labels are labels. Their patterns are v1alpha1.KeyValuePatterns.
func Labels() Texts {
	return Texts{"label", isLabelKey, func(s string) bool { return len(validation.IsValidLabelValue(s)) == 0 }}
}

// Annotations are annotations. Their patterns are v1alpha1.KeyValuePatterns.
func Annotations() Texts {
	return Texts{"annotation", func(s string) bool { return isLabelKey(strings.ToLower(s)) }, func(string) bool { return true }}
}

func isLabelKey(s string) bool { return len(validation.IsQualifiedName(s)) == 0 }

// NodeNames are the names of Nodes.
func NodeNames() Texts {
	return Texts{"node name", func(s string) bool { return len(validation.IsDNS1123Subdomain(s)) == 0 }, nil}
}

// Namespaces are the names of namespaces.
func Namespaces() Texts {
	return Texts{"namespace", func(s string) bool { return len(validation.IsDNS1123Label(s)) == 0 }, nil}
}

// ServiceAccounts are service accounts, as namespace/name.
func ServiceAccounts() Texts {
	return Texts{"service account, which is namespace/name", func(s string) bool {
		namespace, name, found := strings.Cut(s, "/")
		return found && len(validation.IsDNS1123Label(namespace)) == 0 && len(validation.IsDNS1123Subdomain(name)) == 0
	}, nil}
}

// maxFilled is the number of asterisks up to which texts are tried. A pattern of more is trusted.
const maxFilled = 3

// CanMatch reports whether there can be a text that the pattern matches. It tries a few texts for each asterisk.
func (t Texts) CanMatch(pattern string) bool {
	if len(pattern) > maxKeyValueLength || strings.Count(pattern, "*") > maxFilled {
		return true
	}
	if t.value == nil {
		return fill(pattern, t.valid)
	}
	key, value, _ := strings.Cut(pattern, "=")
	return fill(key, t.valid) && fill(value, t.value)
}

// fill reports whether a text that the pattern matches is valid.
func fill(pattern string, valid func(string) bool) bool {
	before, after, found := strings.Cut(pattern, "*")
	if !found {
		return valid(pattern)
	}
	for _, filling := range [...]string{"", "a", "/a", "a/", "a/a"} {
		if fill(before+filling+after, valid) {
			return true
		}
	}
	return false
}

// Unreachable says why a pattern matches nothing, and what may have been meant. It is empty for a pattern that can match, and for one
// that does not compile.
func (t Texts) Unreachable(pattern string) string {
	var errs field.ErrorList
	if t.value == nil {
		_, errs = Compile(v1alpha1.Pattern(pattern), nil)
	} else {
		_, errs = CompileKeyValue(v1alpha1.KeyValuePattern(pattern), nil)
	}
	if len(errs) > 0 || t.CanMatch(pattern) {
		return ""
	}
	return fmt.Sprintf("%s matches no %s%s", text.Quote(pattern), t.name, t.meant(pattern))
}

// meant is the end of a sentence about what may have been meant by a pattern that matches nothing.
func (t Texts) meant(p string) string {
	lower := strings.ToLower(p)
	user, isUser := strings.CutPrefix(p, "system:node:")
	switch {
	case isUser:
		return ", but " + text.Quote(user) + " does"
	case strings.ContainsAny(p, `^$()[]{}+?|\`):
		return ": a pattern is not a regular expression, its only wildcard is *"
	case strings.HasSuffix(p, "/") && t.CanMatch(p+"*"):
		return ": write " + text.Quote(p+"*")
	case !strings.Contains(p, "=") && t.CanMatch(p+"/*"):
		return ": write " + text.Quote(p+"/*")
	case lower != p && t.CanMatch(lower):
		return ": write " + text.Quote(lower)
	}
	return ""
}

// Covers reports whether one of the patterns matches every text that p matches.
func (ps Patterns) Covers(p v1alpha1.Pattern) bool {
	// The asterisks of p can only be matched by asterisks.
	return ps.Match(string(p))
}

// Covers reports whether one of the patterns matches every label or annotation that p matches.
func (ps KeyValues) Covers(p v1alpha1.KeyValuePattern) bool {
	key, value, hasValue := strings.Cut(string(p), "=")
	return slices.ContainsFunc(ps, func(q KeyValue) bool {
		return q.key.Match(key) && (q.value == nil || q.value.isAny() || hasValue && q.value.Match(value))
	})
}
