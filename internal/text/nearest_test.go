// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package text

import (
	"slices"
	"testing"
)

func TestNearest(t *testing.T) {
	names := []string{"node-labels", "node-taints", "node-finalizers", "mirror-pod-labels", "mirror-pod-finalizers"}
	for name, test := range map[string]struct {
		name string
		want []string
	}{
		"a letter is missing":           {"node-label", []string{"node-labels"}},
		"letters are swapped":           {"node-lables", []string{"node-labels"}},
		"a part is named":               {"finalizers", []string{"node-finalizers", "mirror-pod-finalizers"}},
		"the nearest only is suggested": {"node-tabels", []string{"node-labels"}},
		"nothing is near":               {"xyzzy", nil},
		"nothing is named":              {"", nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Nearest(test.name, names); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
