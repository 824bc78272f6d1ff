// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package text_test

import (
	"slices"
	"testing"

	"noderestriction.plus/internal/text"
)

func TestCells(t *testing.T) {
	got := text.Cells("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "", "a=1", "'=1")
	want := []string{"'=1+1", "'+1", "'-1", "'@SUM(A1)", "'\t=1", "'\r=1", "", "a=1", "'=1"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
