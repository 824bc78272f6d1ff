// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
)

func TestSubjectsAreValidated(t *testing.T) {
	accounts := func(n int) []v1alpha1.ServiceAccount {
		list := make([]v1alpha1.ServiceAccount, n)
		for i := range list {
			list[i] = v1alpha1.ServiceAccount{Namespace: "a", Name: "b" + strings.Repeat("c", i)}
		}
		return list
	}
	account := func(namespace, name string) v1alpha1.Subjects {
		return v1alpha1.Subjects{ServiceAccounts: []v1alpha1.ServiceAccount{{Namespace: namespace, Name: name}}}
	}
	prefixes := func(list ...v1alpha1.UsernamePrefix) v1alpha1.Subjects {
		return v1alpha1.Subjects{UsernamePrefixes: list}
	}
	for name, test := range map[string]struct {
		subjects v1alpha1.Subjects
		want     string // the first error; empty: valid
	}{
		"a service account":           {v1alpha1.Subjects{ServiceAccounts: accounts(1)}, ""},
		"as many as there may be":     {v1alpha1.Subjects{ServiceAccounts: accounts(32)}, ""},
		"too many service accounts":   {v1alpha1.Subjects{ServiceAccounts: accounts(33)}, "s.serviceAccounts: Too many"},
		"nobody":                      {v1alpha1.Subjects{}, "s: Required value: must have serviceAccounts or usernamePrefixes"},
		"an empty list":               {v1alpha1.Subjects{ServiceAccounts: []v1alpha1.ServiceAccount{}}, "s.serviceAccounts: Required"},
		"an account without a name":   {account("a", ""), "s.serviceAccounts[0].name: Required"},
		"a pattern instead of a name": {account("a", "*"), "s.serviceAccounts[0].name: Invalid"},
		"an account that is named twice": {
			v1alpha1.Subjects{ServiceAccounts: append(accounts(1), accounts(1)...)}, "s.serviceAccounts[1]: Duplicate",
		},
		"a prefix":                       {prefixes("system:ovn-node:"), ""},
		"a prefix without its colon":     {prefixes("system:ovn-node"), "s.usernamePrefixes[0]: Invalid"},
		"a prefix of white space":        {prefixes("a b:"), "s.usernamePrefixes[0]: Invalid"},
		"a prefix of all system users":   {prefixes("system:"), "s.usernamePrefixes[0]: Invalid"},
		"the prefix of kubelets":         {prefixes("system:node:"), "s.usernamePrefixes[0]: Invalid"},
		"a prefix of some kubelets":      {prefixes("system:node:a:"), "s.usernamePrefixes[0]: Invalid"},
		"a prefix of service accounts":   {prefixes("system:serviceaccount:a:"), "s.usernamePrefixes[0]: Invalid"},
		"a prefix that is listed twice":  {prefixes("a:", "a:"), "s.usernamePrefixes[1]: Duplicate"},
		"too many prefixes":              {prefixes("a:", "b:", "c:", "d:", "e:"), "s.usernamePrefixes: Too many"},
		"a prefix that is too long":      {prefixes(v1alpha1.UsernamePrefix(strings.Repeat("a", 128) + ":")), "s.usernamePrefixes[0]: Too long"},
		"an unknown word in withoutNode": {v1alpha1.Subjects{ServiceAccounts: accounts(1), WithoutNode: "Audit"}, "s.withoutNode: Unsupported"},
	} {
		t.Run(name, func(t *testing.T) {
			_, errs := compileSubjects(&test.subjects, field.NewPath("s"))
			switch {
			case test.want == "" && len(errs) > 0:
				t.Errorf("got %v", errs.ToAggregate())
			case test.want != "" && (len(errs) == 0 || !strings.HasPrefix(errs[0].Error(), test.want)):
				t.Errorf("got %v, want %s", errs, test.want)
			}
		})
	}
}

func TestSubjectsAreNamed(t *testing.T) {
	agents, errs := compileSubjects(&v1alpha1.Subjects{
		ServiceAccounts:  []v1alpha1.ServiceAccount{{Namespace: "kube-system", Name: "cni"}},
		UsernamePrefixes: []v1alpha1.UsernamePrefix{"system:ovn-node:"},
	}, nil)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	for name, test := range map[string]struct {
		subject          Subject
		agents, kubelets bool
	}{
		"a kubelet":                              {Subject{}, false, true},
		"the service account":                    {Subject{ServiceAccount, "kube-system/cni"}, true, false},
		"another of its namespace":               {Subject{ServiceAccount, "kube-system/cnis"}, false, false},
		"a user with the prefix":                 {Subject{UsernamePrefix, "system:ovn-node:worker-1"}, true, false},
		"a user with the prefix and more colons": {Subject{UsernamePrefix, "system:ovn-node:a:worker-1"}, true, false},
		"a user with another prefix":             {Subject{UsernamePrefix, "system:ovn-nodes:worker-1"}, false, false},
		"a user named like the service account":  {Subject{UsernamePrefix, "kube-system/cni"}, false, false},
		"a service account named like a prefix":  {Subject{ServiceAccount, "system:ovn-node:worker-1"}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := agents.name(test.subject); got != test.agents {
				t.Errorf("a policy for node agents names it: %t", got)
			}
			if got := (*subjects)(nil).name(test.subject); got != test.kubelets {
				t.Errorf("a policy for kubelets names it: %t", got)
			}
		})
	}
}
