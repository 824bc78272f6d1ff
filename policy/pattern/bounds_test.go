// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package pattern

import (
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
)

// TestListsStopAtTheirBounds shows that a list that is too long is one error, however long it is.
func TestListsStopAtTheirBounds(t *testing.T) {
	const n = 200_000
	at := field.NewPath("x")
	for name, compile := range map[string]func() field.ErrorList{
		"patterns": func() field.ErrorList { _, errs := CompileAll(make([]v1alpha1.Pattern, n), 256, at); return errs },
		"pairs": func() field.ErrorList {
			_, errs := CompileKeyValues(make([]v1alpha1.KeyValuePattern, n), 128, at)
			return errs
		},
		"texts": func() field.ErrorList { return CheckTexts(make([]string, n), 8, 8, at) },
		"CIDRs": func() field.ErrorList { _, errs := CompileCIDRs(make([]v1alpha1.CIDR, n), 64, at); return errs },
	} {
		errs := compile()
		if len(errs) != 1 || errs[0].Type != field.ErrorTypeTooMany {
			t.Errorf("%s: got %d errors", name, len(errs))
		}
	}
}
