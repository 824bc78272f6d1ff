// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"testing"

	"noderestriction.plus/policy/object"
)

func TestHostPathsAreResolved(t *testing.T) {
	directories := []string{"/etc/kubernetes", "/var/lib/etcd/"}
	for path, inside := range map[string]bool{
		"/etc/kubernetes": true, "/etc/kubernetes/pki": true, "/var/lib/etcd": true, "/etc//kubernetes/./pki": true,
		"/etc/kubernetes-evil": false, "/etc/kubernetes/../shadow": false, "/": false, "": false, "etc/kubernetes": false,
	} {
		volumes := []object.Volume{{HostPath: &struct {
			Path string `json:"path"`
		}{path}}}
		if got := len(hostPathsOutside(volumes, directories)) == 0; got != inside {
			t.Errorf("%q is inside: got %v, want %v", path, got, inside)
		}
	}
}
