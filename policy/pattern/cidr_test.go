// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package pattern

import (
	"net/netip"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
)

func TestAddressesOfNoOtherHostAreNotRoutable(t *testing.T) {
	for text, want := range map[string]bool{
		"10.0.0.1": true, "fd00::1": true, "2001:db8::1": true,
		"127.0.0.1": false, "::1": false, "::ffff:127.0.0.1": false, "169.254.169.254": false, "fe80::1": false,
		"fe80::1%eth0": false, "fd00::1%eth0": false, "224.0.0.1": false, "ff02::1": false, "0.0.0.0": false, "::": false,
	} {
		if got := IsRoutable(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
	}
}

func TestCIDRs(t *testing.T) {
	for text, valid := range map[v1alpha1.CIDR]bool{
		"10.0.0.0/8": true, "fd00::/8": true, "10.0.0.1/8": true, "10.0.0.1": false, "10.0.0.0/33": false, "fe80::1%eth0/64": false,
		"010.0.0.0/8": false, "::ffff:10.0.0.0/104": false,
	} {
		cidrs, errs := CompileCIDRs([]v1alpha1.CIDR{text}, 1, field.NewPath("cidrs"))
		if (len(errs) == 0) != valid || (len(cidrs) == 1) != valid {
			t.Errorf("%s: got %v, %v", text, cidrs, errs)
		}
	}
}
