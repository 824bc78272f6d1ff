// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package pattern

import (
	"regexp"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
)

func TestPatternMatch(t *testing.T) {
	for _, test := range []struct {
		Pattern, text string
		want          bool
	}{
		{"example.com/rack", "example.com/rack", true},
		{"example.com/rack", "example.com/racks", false},
		{"example.com/rack", "Example.com/rack", false},
		{"example.com/*", "example.com/", true},
		{"example.com/*", "example.com/a/b.c", true},
		{"example.com/*", "sub.example.com/a", false},
		{"*.example.com/*", "sub.example.com/a", true},
		{"*.example.com/*", "example.com/a", false},
		{"*", "", true},
		{"**", "x", true},
		{"a*a", "a", false},
		{"a*a", "aa", true},
		{"ab*ba", "aba", false},
		{"a*b*c", "abbc", true},
		{"a*b*c", "acb", false},
		{"a.b", "axb", false},
		{"*bb*b", "bbb", true},
		{"*bb*bb", "bbb", false},
	} {
		p, errs := Compile(v1alpha1.Pattern(test.Pattern), field.NewPath("p"))
		if len(errs) > 0 {
			t.Fatalf("%s: %v", test.Pattern, errs)
		}
		if got := p.Match(test.text); got != test.want {
			t.Errorf("pattern %q matches %q: got %v, want %v", test.Pattern, test.text, got, test.want)
		}
	}
}

func TestCompilePatternRefuses(t *testing.T) {
	for name, pattern := range map[string]string{
		"an empty pattern":            "",
		"a pattern with a space":      "a b",
		"a pattern with a line break": "a\n",
		"a pattern beyond ASCII":      "exаmple.com/rack", // with a Cyrillic letter
		"a pattern that is too long":  strings.Repeat("a", maxPatternLength+1),
	} {
		if _, errs := Compile(v1alpha1.Pattern(pattern), field.NewPath("p")); len(errs) != 1 {
			t.Errorf("%s: got errors %v, want one", name, errs)
		}
	}
}

// FuzzPattern compares a pattern with the equivalent regular expression.
func TestAMatcherMatchesWhatOneOfItsPatternsMatches(t *testing.T) {
	match, errs := Matcher([]v1alpha1.Pattern{"worker-*", "gpu"}, field.NewPath("node"))
	if len(errs) > 0 || !match("worker-1") || !match("gpu") || match("gpu-1") {
		t.Errorf("got %v, %v, %v, %v", errs, match("worker-1"), match("gpu"), match("gpu-1"))
	}
	if _, errs = Matcher([]v1alpha1.Pattern{"a", ""}, field.NewPath("node")); len(errs) != 1 || errs[0].Field != "node[1]" {
		t.Errorf("got %v", errs)
	}
}

func FuzzPattern(f *testing.F) {
	f.Add("a*a*a*b", strings.Repeat("a", 100))
	f.Add("*.example.com/*", "sub.example.com/rack")
	f.Add("**", "")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		p, errs := Compile(v1alpha1.Pattern(pattern), field.NewPath("p"))
		if len(errs) > 0 || strings.Count(pattern, "*") > 8 || len(text) > 1000 {
			return
		}
		parts := strings.Split(pattern, "*")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		want := regexp.MustCompile(`(?s)\A` + strings.Join(parts, ".*") + `\z`)
		if strings.ToValidUTF8(text, "") != text {
			return
		}
		if got := p.Match(text); got != want.MatchString(text) {
			t.Errorf("pattern %q matches %q: got %v", pattern, text, got)
		}
	})
}

// BenchmarkPatternWorstCase shows that the worst pattern takes time linear in the text.
func BenchmarkPatternWorstCase(b *testing.B) {
	p, _ := Compile(v1alpha1.Pattern(strings.Repeat("*a", 100)+"*b"), field.NewPath("p"))
	text := strings.Repeat("a", 100_000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		p.Match(text)
	}
}
