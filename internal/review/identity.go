// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package review

import (
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
)

// userPrefix begins the user name in every kubelet's credential.
const userPrefix = "system:node:"

// nodesGroup is the group of every kubelet that the Node authorizer knows.
const nodesGroup = "system:nodes"

// Identity is the part of a kubelet's credential that policies use.
type Identity struct {
	// Node is the name of the node in the credential, unchanged. Empty if the credential names none.
	Node string
	// InNodesGroup says that the user is in the group system:nodes, without which the API server's own plugins do not
	// recognize a kubelet.
	InNodesGroup bool
}

// KubeletOf returns the identity of a kubelet, and false for other users. It is the only place that knows how a credential names
// its node. Groups do not matter: without system:nodes a user is still a kubelet for our rules. The prefix must match exactly,
// as for the Node authorizer.
func KubeletOf(user authenticationv1.UserInfo) (Identity, bool) {
	node, ok := strings.CutPrefix(user.Username, userPrefix)
	if !ok {
		return Identity{}, false
	}
	return Identity{Node: node, InNodesGroup: slices.Contains(user.Groups, nodesGroup)}, true
}

// UserOf returns the user of a kubelet's credential, with the groups of a stock one unless others are given.
func UserOf(node string, groups ...string) authenticationv1.UserInfo {
	if len(groups) == 0 {
		groups = []string{nodesGroup, "system:authenticated"}
	}
	return authenticationv1.UserInfo{Username: userPrefix + node, Groups: groups}
}
