// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package review_test

import (
	"strings"
	"testing"
)

func TestARequestForATokenIsNoDryRun(t *testing.T) {
	dry := kubeletUpdate // which is a dry run
	for name, test := range map[string]struct {
		resource, subresource string
		want                  bool
	}{
		"a token":                            {`"resource":{"group":"","version":"v1","resource":"serviceaccounts"}`, "token", false},
		"a service account":                  {`"resource":{"group":"","version":"v1","resource":"serviceaccounts"}`, "", true},
		"something like it of another group": {`"resource":{"group":"x","version":"v1","resource":"serviceaccounts"}`, "token", true},
		"a Node's status":                    {`"resource":{"group":"","version":"v1","resource":"nodes"}`, "status", true},
	} {
		t.Run(name, func(t *testing.T) {
			body := strings.Replace(dry, coreNodes, test.resource+`,"sub`, 1)
			body = strings.Replace(body, `"subResource":"status"`, `"subResource":"`+test.subresource+`"`, 1)
			if got := decoded(t, body).Request.DryRun; got != test.want {
				t.Errorf("got dry run %v, want %v", got, test.want)
			}
		})
	}
}
