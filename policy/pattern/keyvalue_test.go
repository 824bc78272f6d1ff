// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package pattern

import (
	"regexp"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"pgregory.net/rapid"

	"noderestriction.plus/api/v1alpha1"
)

func TestKeyValueMatch(t *testing.T) {
	for _, test := range []struct {
		pattern, key, value string
		want                bool
	}{
		{"example.com/pool", "example.com/pool", "any value", true},
		{"example.com/pool", "example.com/pools", "", false},
		{"example.com/pool=gpu", "example.com/pool", "gpu", true},
		{"example.com/pool=gpu", "example.com/pool", "gpu2", false},
		{"example.com/pool=gpu", "example.com/pools", "gpu", false},
		{"example.com/pool=", "example.com/pool", "", true},
		{"example.com/pool=", "example.com/pool", "gpu", false},
		{"example.com/*=gpu-*", "example.com/pool", "gpu-1", true},
		{"example.com/*=gpu-*", "example.com/pool", "pci-1", false},
		{"*=gpu", "example.com/pool", "gpu", true},
		{"a=b=c", "a", "b=c", true},
		{"a=b=c", "a=b", "c", false},
		{"a=b c", "a", "b c", true},
		{"a=*", "a", "", true},
	} {
		p, errs := CompileKeyValue(v1alpha1.KeyValuePattern(test.pattern), field.NewPath("p"))
		if len(errs) > 0 {
			t.Fatalf("%s: %v", test.pattern, errs)
		}
		if got := p.Match(test.key, test.value); got != test.want {
			t.Errorf("pattern %q matches %q=%q: got %v, want %v", test.pattern, test.key, test.value, got, test.want)
		}
	}
}

func TestKeyValuesNamedAndByValue(t *testing.T) {
	ps, errs := CompileKeyValues([]v1alpha1.KeyValuePattern{"*=gpu", "**", "a", "b=c"}, 4, field.NewPath("p"))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	for key, want := range map[string]bool{"a": true, "b": true, "x": false} {
		if got := ps.MatchNamed(key, "c"); got != want {
			t.Errorf("%q is named: got %v, want %v", key, got, want)
		}
	}
	for _, test := range []struct {
		list []v1alpha1.KeyValuePattern
		key  string
		want bool
	}{
		{[]v1alpha1.KeyValuePattern{"a", "b=c"}, "a", false},
		{[]v1alpha1.KeyValuePattern{"a", "b=c"}, "b", true},
		{[]v1alpha1.KeyValuePattern{"*=c"}, "a", true},
		{nil, "a", false},
	} {
		ps, _ := CompileKeyValues(test.list, 8, field.NewPath("p"))
		if got := ps.ValueMatters(test.key); got != test.want {
			t.Errorf("the value of %q matters to %q: got %v, want %v", test.key, test.list, got, test.want)
		}
	}
}

func TestCompileKeyValueRefuses(t *testing.T) {
	for name, pattern := range map[string]string{
		"an empty pattern":               "",
		"a pattern without a key":        "=gpu",
		"a key with a space":             "a b=c",
		"a value with a line break":      "a=b\n",
		"a value beyond ASCII":           "a=ü",
		"a pattern that is too long":     strings.Repeat("a", maxKeyValueLength+1),
		"a key with a control character": "a\x7f=b",
	} {
		if _, errs := CompileKeyValue(v1alpha1.KeyValuePattern(pattern), field.NewPath("p")); len(errs) != 1 {
			t.Errorf("%s: got errors %v, want one", name, errs)
		}
	}
}

// TestKeyValueAgreesWithItsSchema draws texts: what the schema accepts compiles, and only that.
func TestKeyValueAgreesWithItsSchema(t *testing.T) {
	schema := regexp.MustCompile(`^[!-<>-~]+(=[ -~]*)?$`)
	rapid.Check(t, func(t *rapid.T) {
		source := rapid.StringOfN(rapid.SampledFrom([]rune("ab*=/ ~!\x7f\né")), 0, 12, -1).Draw(t, "pattern")
		_, errs := CompileKeyValue(v1alpha1.KeyValuePattern(source), field.NewPath("p"))
		if accepted := schema.MatchString(source); accepted != (len(errs) == 0) {
			t.Errorf("%q: the schema accepts it: %v, errors: %v", source, accepted, errs)
		}
	})
}

// TestKeyValueMatchesAsRegularExpression compares with the regular expression that a pattern stands for.
func TestKeyValueMatchesAsRegularExpression(t *testing.T) {
	some := func(most int) *rapid.Generator[string] {
		return rapid.StringOfN(rapid.SampledFrom([]rune("ab*")), 1, most, -1)
	}
	expression := func(s string) *regexp.Regexp {
		return regexp.MustCompile("^(?s:" + strings.ReplaceAll(regexp.QuoteMeta(s), `\*`, ".*") + ")$")
	}
	rapid.Check(t, func(t *rapid.T) {
		key, value := some(6).Draw(t, "key"), some(6).Draw(t, "value")
		labelKey, labelValue := some(8).Draw(t, "label key"), some(8).Draw(t, "label value")
		p, errs := CompileKeyValue(v1alpha1.KeyValuePattern(key+"="+value), field.NewPath("p"))
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		want := expression(key).MatchString(labelKey) && expression(value).MatchString(labelValue)
		if got := p.Match(labelKey, labelValue); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}
