// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package review_test

import (
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"

	"noderestriction.plus/internal/review"
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
