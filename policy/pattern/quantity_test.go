// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package pattern

import (
	"strings"
	"testing"
)

func TestFormsOfQuantities(t *testing.T) {
	for text, want := range map[string]struct{ plain, cheap bool }{
		"0": {true, true}, "-5": {true, true}, "64Gi": {true, true}, "1500m": {true, true}, "2E": {true, true}, "1.5": {true, true},
		"12345678901234567890": {true, true}, "123456789012345678901": {false, true},
		"1e3": {false, true}, "1E3": {false, true}, "1e999": {false, true}, "1e1000": {false, false}, "1e+1000": {false, false},
		"1E-0001": {false, false}, "1e-999999999": {false, false}, strings.Repeat("1", 65): {false, false},
		"": {false, true}, ".": {false, true}, "1.2.3": {false, true}, "Gi": {false, true}, "+1": {false, true}, "1Xi": {false, true},
	} {
		if plain, cheap := IsPlainQuantity(text), IsCheapQuantity(text); plain != want.plain || cheap != want.cheap {
			t.Errorf("%q: plain %v, cheap %v, want %+v", text, plain, cheap, want)
		}
		if want.cheap && IsExpensiveNumber(text) {
			t.Errorf("%q is cheap and counts as expensive", text)
		}
	}
	for _, text := range []string{"1e1000", "1e+1000", "1.5E-0001", strings.Repeat("1", 65), "1e-999999999", " 1e99999 "} {
		if !IsExpensiveNumber(text) {
			t.Errorf("%q does not count as expensive", text)
		}
	}
}
