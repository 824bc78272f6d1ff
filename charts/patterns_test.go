// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy/expression"
	"noderestriction.plus/policy/pattern"
)

// TestPatternsMatchTheSameInCEL evaluates lists of patterns in CEL, and compares them with the engine: few and many, of each form.
func TestPatternsMatchTheSameInCEL(t *testing.T) {
	draw := rand.New(rand.NewPCG(1, 2))
	text := func(length int, of ...string) string {
		var b strings.Builder
		for range length {
			b.WriteString(of[draw.IntN(len(of))])
		}
		return b.String()
	}
	texts := []string{"", "/", "a", "a/", "a/b", "ab", "aba", "a/b/c", "é/"}
	for range 200 {
		texts = append(texts, text(draw.IntN(7), "a", "b", "/", ".", "é"))
	}
	matched, unmatched := 0, 0
	for _, form := range []string{"%s", "%s*", "*%s", "*%s*", "%s*%s", "%s**%s", "*%s*%s", "%s*%s*%s", "%s/*", "%[1]s/%[1]s*"} {
		for _, n := range []int{1, 3, 40} {
			var patterns []v1alpha1.Pattern
			for range n {
				p := form
				for strings.Contains(p, "%s") {
					p = strings.Replace(p, "%s", text(1+draw.IntN(3), "a", "b", "/", "."), 1)
				}
				if strings.Contains(p, "%[1]s") {
					p = fmt.Sprintf(p, text(1, "a", "b"))
				}
				if !slices.Contains(patterns, v1alpha1.Pattern(p)) {
					patterns = append(patterns, v1alpha1.Pattern(p))
				}
			}
			compiled, errs := pattern.CompileAll(patterns, n, nil)
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			matching := []string{}
			for _, s := range texts {
				if compiled.Match(s) {
					matching = append(matching, s)
				}
			}
			matched, unmatched = matched+len(matching), unmatched+len(texts)-len(matching)
			e := expression.List(texts...) + ".all(t, (" + expression.Matches("t", patterns) + ") == (t in " + expression.List(matching...) + "))"
			attributes := (&caller{t: t}).attributesOf(updateNode("status", func(*corev1.Node) {}))
			if same, _ := newCondition(t, e).evaluate(t, attributes); !same {
				t.Errorf("%q matches other texts in CEL: %s", patterns, expression.Matches("t", patterns))
			}
		}
	}
	if matched < 500 || unmatched < 500 {
		t.Errorf("%d texts match, %d do not: these are too few", matched, unmatched)
	}
}
