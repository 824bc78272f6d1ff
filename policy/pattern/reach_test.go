// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package pattern

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"noderestriction.plus/api/v1alpha1"
)

func TestUnreachable(t *testing.T) {
	for _, test := range []struct {
		of      Texts
		pattern string
		want    string
	}{
		{Labels(), "example.com/*", ""},
		{Labels(), "*/*", ""},
		{Labels(), "*", ""},
		{Labels(), "example.com*", ""},
		{Labels(), "*example.com/a", ""},
		{Labels(), "pool", ""},
		{Labels(), "example.com/", `"example.com/" matches no label: write "example.com/*"`},
		{Labels(), "Example.com/*", `"Example.com/*" matches no label: write "example.com/*"`},
		{
			Labels(), "^example.com/.*",
			`"^example.com/.*" matches no label: a pattern is not a regular expression, its only wildcard is *`,
		},
		{Labels(), "a b", ""}, // does not compile
		{Labels(), "a/b/c", `"a/b/c" matches no label`},
		{Labels(), strings.Repeat("a", 64) + "*", ""},
		{Labels(), "pool=batch", ""},
		{Labels(), "example.com/*=*", ""},
		{Labels(), "pool=", ""},
		{Labels(), "pool=a b", `"pool=a b" matches no label`},
		{Labels(), "Example.com/a=b", `"Example.com/a=b" matches no label: write "example.com/a=b"`},
		{Annotations(), "example.com/a=b c", ""},
		{Annotations(), "Example.com/*", ""},
		{NodeNames(), "worker-*", ""},
		{NodeNames(), "*", ""},
		{NodeNames(), "pci-??", `"pci-??" matches no node name: a pattern is not a regular expression, its only wildcard is *`},
		{NodeNames(), "Worker-*", `"Worker-*" matches no node name: write "worker-*"`},
		{NodeNames(), "system:node:worker-1", `"system:node:worker-1" matches no node name, but "worker-1" does`},
		{NodeNames(), "-*", `"-*" matches no node name`},
		{Namespaces(), "kube-*", ""},
		{Namespaces(), "a.b", `"a.b" matches no namespace`},
		{ServiceAccounts(), "kube-system/*", ""},
		{ServiceAccounts(), "*", ""},
		{
			ServiceAccounts(), "kube-system",
			`"kube-system" matches no service account, which is namespace/name: write "kube-system/*"`,
		},
	} {
		if got := test.of.Unreachable(test.pattern); got != test.want {
			t.Errorf("%s: got  %s\nwant %s", test.pattern, got, test.want)
		}
	}
}

// TestUnreachableIsNeverWrong: a pattern that is made from a valid text by putting asterisks in place of parts can match.
func TestUnreachableIsNeverWrong(t *testing.T) {
	texts := map[string]Texts{
		`[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?(\.[a-z]{1,5})?/[A-Za-z0-9]([-A-Za-z0-9_.]{0,8}[A-Za-z0-9])?`: Labels(),
		`[a-z0-9]{1,5}=([A-Za-z0-9]([-A-Za-z0-9_.]{0,8}[A-Za-z0-9])?)?`:                                 Labels(),
		`[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?(\.[a-z0-9]{1,5})?`:                                           NodeNames(),
		`[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?`:                                                             Namespaces(),
		`[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?/[a-z0-9]{1,5}(\.[a-z0-9]{1,5})?`:                             ServiceAccounts(),
	}
	for expression, of := range texts {
		rapid.Check(t, func(t *rapid.T) {
			s := rapid.StringMatching(expression).Draw(t, "text")
			for range rapid.IntRange(0, 3).Draw(t, "asterisks") {
				from := rapid.IntRange(0, len(s)).Draw(t, "from")
				to := rapid.IntRange(from, len(s)).Draw(t, "to")
				s = s[:from] + "*" + s[to:]
			}
			if of.Unreachable(s) != "" {
				t.Fatalf("%s can match a %s", s, of.name)
			}
		})
	}
}

func TestCovers(t *testing.T) {
	for _, test := range []struct {
		of   []v1alpha1.Pattern
		p    v1alpha1.Pattern
		want bool
	}{
		{[]v1alpha1.Pattern{"*"}, "a*b", true},
		{[]v1alpha1.Pattern{"a*"}, "ab*", true},
		{[]v1alpha1.Pattern{"a*"}, "*", false},
		{[]v1alpha1.Pattern{"a*", "b"}, "b", true},
		{[]v1alpha1.Pattern{"ab*"}, "a*", false},
		{nil, "a", false},
	} {
		ps, errs := CompileAll(test.of, 10, nil)
		if got := ps.Covers(test.p); len(errs) > 0 || got != test.want {
			t.Errorf("%v covers %s: got %v, %v", test.of, test.p, got, errs)
		}
	}
}

func TestCoversPairs(t *testing.T) {
	for _, test := range []struct {
		of   []v1alpha1.KeyValuePattern
		p    v1alpha1.KeyValuePattern
		want bool
	}{
		{[]v1alpha1.KeyValuePattern{"a"}, "a=b", true},
		{[]v1alpha1.KeyValuePattern{"a=*"}, "a=b*", true},
		{[]v1alpha1.KeyValuePattern{"a=b"}, "a", false},
		{[]v1alpha1.KeyValuePattern{"a=b"}, "a=c", false},
		{[]v1alpha1.KeyValuePattern{"b=*", "*"}, "a", true},
		{nil, "a", false},
	} {
		ps, errs := CompileKeyValues(test.of, 10, nil)
		if got := ps.Covers(test.p); len(errs) > 0 || got != test.want {
			t.Errorf("%v covers %s: got %v, %v", test.of, test.p, got, errs)
		}
	}
}
