// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package expression_test

import (
	"testing"

	"noderestriction.plus/policy/expression"
)

func TestFewOverloads(t *testing.T) {
	for name, test := range map[string]struct{ e, want string }{
		"a size is divided by the bound":            {"size(a.b) > 64 || c", "size(a.b) / 65 != 0 || c"},
		"a size that is not beyond its bound":       {"!(size(a) <= 20)", "!(size(a) / 21 == 0)"},
		"a size in a size":                          {"size(a.filter(e, size(e) > 9)) > 99", "size(a.filter(e, size(e) / 10 != 0)) / 100 != 0"},
		"a comparison of quantities":                {"quantity(a).compareTo(quantity(b)) <= 0", "quantity(a).compareTo(quantity(b)) != 1"},
		"another comparison stays":                  {"size(a) == 0 && size(a) > size(b)", "size(a) == 0 && size(a) > size(b)"},
		"a product of sizes":                        {"size(a) * size(b) > 64", "size(a) * size(b) / 65 != 0"},
		"a sum of sizes stays":                      {"size(a) + size(b) > 64", "size(a) + size(b) > 64"},
		"a bound that is a sum or a product stays":  {"size(a) > 4 * x || size(b) <= 4 + x", "size(a) > 4 * x || size(b) <= 4 + x"},
		"a literal stays":                           {"a == 'size(b) > 1' && size(b) > 1", "a == 'size(b) > 1' && size(b) / 2 != 0"},
		"a name that ends so and a method stay":     {"maxsize(a) > 1 || a.size() > 1", "maxsize(a) > 1 || a.size() > 1"},
		"an expression without comparisons is kept": {"a.exists(e, e in ['it\\'s'])", "a.exists(e, e in ['it\\'s'])"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := expression.FewOverloads(test.e); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}
