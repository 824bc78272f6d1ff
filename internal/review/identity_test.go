// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package review_test

import (
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"

	"noderestriction.plus/internal/review"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
)

func TestKubeletOf(t *testing.T) {
	long := strings.Repeat("n", 4096)
	tests := map[string]struct {
		user    string
		groups  []string
		kubelet bool
		node    string
	}{
		"a kubelet":                           {"system:node:worker-1", []string{"system:nodes"}, true, "worker-1"},
		"a kubelet without the group":         {"system:node:worker-1", nil, true, "worker-1"},
		"a kubelet without a node name":       {"system:node:", []string{"system:nodes"}, true, ""},
		"a node name of 4 KiB":                {"system:node:" + long, nil, true, long},
		"a node name with the separator":      {"system:node:a:b", nil, true, "a:b"},
		"the group without the prefix":        {"worker-1", []string{"system:nodes"}, false, ""},
		"a user whose name begins likewise":   {"system:nodeX", nil, false, ""},
		"the prefix in capitals":              {"System:Node:worker-1", nil, false, ""},
		"a look-alike in another alphabet":    {"system:nоde:worker-1", nil, false, ""},
		"the prefix after white space":        {" system:node:worker-1", nil, false, ""},
		"the service account of a node pod":   {"system:serviceaccount:kube-system:cni", nil, false, ""},
		"nobody":                              {"", nil, false, ""},
		"an administrator":                    {"admin", []string{"system:masters"}, false, ""},
		"the bootstrap identity of a kubelet": {"system:bootstrap:07401b", []string{"system:bootstrappers"}, false, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			id, kubelet := review.KubeletOf(authenticationv1.UserInfo{Username: test.user, Groups: test.groups})
			if kubelet != test.kubelet || id.Node != test.node {
				t.Errorf("got %v, %q, want %v, %q", kubelet, id.Node, test.kubelet, test.node)
			}
		})
	}
}

func TestSubjectOf(t *testing.T) {
	const key = "authentication.kubernetes.io/node-name"
	for name, test := range map[string]struct {
		user       string
		extra      map[string]authenticationv1.ExtraValue
		restricted bool
		want       review.Identity
	}{
		"a kubelet, whatever its extra says": {
			"system:node:worker-1", map[string]authenticationv1.ExtraValue{key: {"worker-2"}}, true, review.Identity{Node: "worker-1"},
		},
		"a token that is bound to a node": {
			"system:serviceaccount:kube-system:cni",
			map[string]authenticationv1.ExtraValue{key: {"worker-1"}},
			true,
			review.Identity{Subject: policy.Subject{Kind: policy.ServiceAccount, Account: "kube-system/cni"}, Node: "worker-1"},
		},
		"a token that is bound to nothing": {
			"system:serviceaccount:kube-system:cni", nil, true,
			review.Identity{Subject: policy.Subject{Kind: policy.ServiceAccount, Account: "kube-system/cni"}},
		},
		"a token of two nodes": {
			"system:serviceaccount:a:b",
			map[string]authenticationv1.ExtraValue{key: {"worker-1", "worker-2"}},
			true,
			review.Identity{Subject: policy.Subject{Kind: policy.ServiceAccount, Account: "a/b"}},
		},
		"a key in capitals": {
			"system:serviceaccount:a:b",
			map[string]authenticationv1.ExtraValue{strings.ToUpper(key): {"worker-1"}},
			true,
			review.Identity{Subject: policy.Subject{Kind: policy.ServiceAccount, Account: "a/b"}},
		},
		"a service account with colons in its name is no other": {
			"system:serviceaccount:a:b:c", nil, true, review.Identity{Subject: policy.Subject{Kind: policy.ServiceAccount, Account: "a/b:c"}},
		},
		"a user name that ends in the name of a node": {
			"system:ovn-node:worker-1",
			map[string]authenticationv1.ExtraValue{key: {"worker-2"}},
			true,
			review.Identity{Subject: policy.Subject{Kind: policy.UsernamePrefix, Account: "system:ovn-node:worker-1"}, Node: "worker-1"},
		},
		"a user name that ends in a colon": {
			"system:ovn-node:", nil, true, review.Identity{Subject: policy.Subject{Kind: policy.UsernamePrefix, Account: "system:ovn-node:"}},
		},
		"a user name without a colon": {"admin", map[string]authenticationv1.ExtraValue{key: {"worker-1"}}, false, review.Identity{}},
		"nobody":                      {"", nil, false, review.Identity{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, restricted := review.SubjectOf(authenticationv1.UserInfo{Username: test.user, Extra: test.extra})
			if restricted != test.restricted || got != test.want {
				t.Errorf("got %t, %+v, want %t, %+v", restricted, got, test.restricted, test.want)
			}
		})
	}
}

// TestSubjectsAreNamedAsInCEL holds the names in identities to those in expressions.
func TestSubjectsAreNamedAsInCEL(t *testing.T) {
	user := review.ServiceAccountOf("a", "b", "worker-1")
	if user.Username != expression.ServiceAccountPrefix+"a:b" || len(user.Extra[expression.NodeNameExtra]) != 1 {
		t.Errorf("a service account is %+v", user)
	}
	longest := strings.Repeat("n", expression.MaxNodeName)
	for node, want := range map[string]string{longest: longest, longest + "n": ""} {
		if id, _ := review.SubjectOf(review.ServiceAccountOf("a", "b", node)); id.Node != want {
			t.Errorf("a name of %d bytes gives %d", len(node), len(id.Node))
		}
	}
	if review.UserOf("worker-1").Username != expression.UserPrefix+"worker-1" {
		t.Error("a kubelet has another prefix")
	}
}
