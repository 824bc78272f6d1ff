// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package pattern

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/text"
)

// Texts is a kind of texts that patterns match, such as label keys.
type Texts struct {
	name  string            // in the singular
	valid func(string) bool // reports whether there can be such a text
}

// LabelKeys are the keys of labels and taints.
func LabelKeys() Texts {
	return Texts{"label key", func(s string) bool { return len(validation.IsQualifiedName(s)) == 0 }}
}

// AnnotationKeys are the keys of annotations.
func AnnotationKeys() Texts {
	return Texts{"annotation key", func(s string) bool { return len(validation.IsQualifiedName(strings.ToLower(s))) == 0 }}
}

// NodeNames are the names of Nodes.
func NodeNames() Texts {
	return Texts{"node name", func(s string) bool { return len(validation.IsDNS1123Subdomain(s)) == 0 }}
}

// Namespaces are the names of namespaces.
func Namespaces() Texts {
	return Texts{"namespace", func(s string) bool { return len(validation.IsDNS1123Label(s)) == 0 }}
}

// ServiceAccounts are service accounts, as namespace/name.
func ServiceAccounts() Texts {
	return Texts{"service account, which is namespace/name", func(s string) bool {
		namespace, name, found := strings.Cut(s, "/")
		return found && len(validation.IsDNS1123Label(namespace)) == 0 && len(validation.IsDNS1123Subdomain(name)) == 0
	}}
}

// maxFilled is the number of asterisks up to which texts are tried. A pattern of more is trusted.
const maxFilled = 3

// CanMatch reports whether there can be a text that the pattern matches. It tries a few texts for each asterisk.
func (t Texts) CanMatch(p v1alpha1.Pattern) bool {
	if len(p) > maxPatternLength || strings.Count(string(p), "*") > maxFilled {
		return true
	}
	return t.fill(string(p))
}

func (t Texts) fill(s string) bool {
	before, after, found := strings.Cut(s, "*")
	if !found {
		return t.valid(s)
	}
	for _, filling := range [...]string{"", "a", "/a", "a/", "a/a"} {
		if t.fill(before + filling + after) {
			return true
		}
	}
	return false
}

// Unreachable says why a pattern matches nothing, and what may have been meant. It is empty for a pattern that can match, and for one
// that does not compile.
func (t Texts) Unreachable(p v1alpha1.Pattern) string {
	if _, errs := Compile(p, nil); len(errs) > 0 || t.CanMatch(p) {
		return ""
	}
	return fmt.Sprintf("%s matches no %s%s", text.Quote(string(p)), t.name, t.meant(string(p)))
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
	case strings.HasSuffix(p, "/") && t.CanMatch(v1alpha1.Pattern(p+"*")):
		return ": write " + text.Quote(p+"*")
	case t.CanMatch(v1alpha1.Pattern(p + "/*")):
		return ": write " + text.Quote(p+"/*")
	case lower != p && t.CanMatch(v1alpha1.Pattern(lower)):
		return ": write " + text.Quote(lower)
	}
	return ""
}

// Covers reports whether one of the patterns matches every text that p matches.
func (ps Patterns) Covers(p v1alpha1.Pattern) bool {
	// The asterisks of p can only be matched by asterisks.
	return ps.Match(string(p))
}
