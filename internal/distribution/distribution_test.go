// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package distribution_test

import (
	"strings"
	"testing"

	"noderestriction.plus/internal/distribution"
)

const preset = `# About the policy.
apiVersion: noderestriction.plus/v1alpha1
kind: NodeRestrictionPolicy
metadata:
  name: recommended
spec:
  nodes:
    # Labels.
    labels: {}
    # Annotations.
    annotations: {}
  pods:
    # Evictions.
    eviction: {}
    deletion: {}
`

func TestAdapt(t *testing.T) {
	for _, test := range []struct{ name, distribution, want string }{
		{
			"objects are merged, lists replaced, and comments follow",
			"# Agents.\nrecommended:\n  nodes:\n    # The agent annotates.\n    annotations: {allowed: [a]}\n",
			"# Agents.\napiVersion: noderestriction.plus/v1alpha1\nkind: NodeRestrictionPolicy\nmetadata:\n  name: d\nspec:\n  nodes:\n" +
				"    # Labels.\n    labels: {}\n    # The agent annotates.\n    annotations:\n      allowed: [a]\n" +
				"  pods:\n    # Evictions.\n    eviction: {}\n    deletion: {}\n",
		},
		{
			"null removes a section and its comment",
			"# Agents.\nrecommended:\n  pods:\n    eviction: null\n",
			"# Agents.\napiVersion: noderestriction.plus/v1alpha1\nkind: NodeRestrictionPolicy\nmetadata:\n  name: d\nspec:\n  nodes:\n" +
				"    # Labels.\n    labels: {}\n    # Annotations.\n    annotations: {}\n  pods:\n    deletion: {}\n",
		},
		{
			"the part for another policy is ignored",
			"strict:\n  pods: {}\n",
			strings.Replace(strings.TrimPrefix(preset, "# About the policy.\n"), "recommended", "d", 1),
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := distribution.Adapt([]byte(preset), []byte(test.distribution), "recommended", "d")
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

func TestAdaptRefuses(t *testing.T) {
	for _, test := range []struct{ name, preset, distribution, want string }{
		{"an unknown part", preset, "recomended: {}", `distribution: line 1: unknown key "recomended"`},
		{"a part that is not an object", preset, "recommended: [a]", "distribution: line 1: must be an object"},
		{"a removal of what is not there", preset, "recommended:\n  pods:\n    ips: null", `distribution: line 3: there is no "ips" to remove`},
		{"a distribution that is a list", preset, "[]", "distribution: must be an object"},
		{"a policy without a spec", "metadata: {name: a}", "recommended: {}", "policy: must have metadata.name and spec"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := distribution.Adapt([]byte(test.preset), []byte(test.distribution), "recommended", "d")
			if err == nil || err.Error() != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}
