// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"testing"

	"noderestriction.plus/policy"
)

func TestProviderIDsOfOneMachine(t *testing.T) {
	for name, test := range map[string]struct {
		a, b string
		same bool
	}{
		"an instance of AWS in another zone":              {"aws:///eu-1a/i-0a", "aws:///eu-1b/i-0a", true},
		"an instance of AWS without its zone":             {"aws:///eu-1a/i-0a", "aws:////i-0a", true},
		"an instance of AWS without a scheme":             {"aws:///eu-1a/i-0a", "i-0a", true},
		"an instance of AWS with a query":                 {"aws:///eu-1a/i-0a", "aws:///eu-1a/i-0a?x=/i-0b", true},
		"an instance of AWS with a slash at the end":      {"aws:///eu-1a/i-0a", "aws:///eu-1a/i-0a/", true},
		"an escaped instance of AWS":                      {"aws:///eu-1a/i-0a", "aws:///eu-1a/%69-0a", true},
		"another instance of AWS":                         {"aws:///eu-1a/i-0a", "aws:///eu-1a/i-0b", false},
		"a server of OpenStack in a region":               {"openstack:///5d1f", "openstack://one/5d1f", true},
		"a server of OpenStack without a scheme":          {"openstack:///5d1f", "one/5d1f", true},
		"a virtual machine of Azure in another case":      {"azure:///subscriptions/s/VirtualMachines/a", "azure:///subscriptions/S/virtualmachines/a", true},
		"a machine of another scale set of Azure":         {"azure:///a/virtualMachines/0", "azure:///b/virtualMachines/0", false},
		"an instance of Google Cloud in another zone":     {"gce://p/eu-1a/n", "gce://p/eu-1b/n", false},
		"a text that is no URL":                           {"aws:///eu-1a/%zz", "aws:///eu-1b/%zz", true},
		"an empty instance is not one without a provider": {"aws:///", "gce://", false},
	} {
		if same := policy.MachineOf(test.a) == policy.MachineOf(test.b); same != test.same {
			t.Errorf("%s: got %v for %q and %q", name, same, test.a, test.b)
		}
	}
}
