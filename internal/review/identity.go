// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package review

import (
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"

	"noderestriction.plus/policy"
)

// userPrefix begins the user name in every kubelet's credential.
const userPrefix = "system:node:"

// NodeNameExtra is the key of the extra of a user that names the node to which a service account token is bound.
const NodeNameExtra = "authentication.kubernetes.io/node-name"

const (
	// accountPrefix begins the user name of every service account. Its namespace, a colon and its name follow.
	accountPrefix = "system:serviceaccount:"
	// maxNodeName is the length of the longest name of a Node, in bytes.
	maxNodeName = 253
)

// nodesGroup is the group of every kubelet that the Node authorizer knows.
const nodesGroup = "system:nodes"

// Identity is the part of a client's credential that policies use.
type Identity struct {
	// Subject is a kubelet, or what policies may name as a node agent.
	Subject policy.Subject
	// Node is the name of the node in the credential, unchanged. Empty if the credential names none, or if that of a node agent names
	// several.
	Node string
	// InNodesGroup says that the user is in the group system:nodes, without which the API server's own plugins do not
	// recognize a kubelet.
	InNodesGroup bool
}

// SubjectOf returns the identity of a user whom policies may restrict: a kubelet or, if a policy names it, a node agent. It returns false
// for other users. It is the only place that knows how a credential names its node. Groups do not matter: without system:nodes a user is
// still a kubelet for our rules. The prefixes must match exactly, as for the authenticators of Kubernetes.
//
// The node of a service account is that to which its token is bound. Kubernetes takes the name from the user's extra only if it has exactly
// one value, and so does this function. The node of another user follows the last colon in its name.
func SubjectOf(user authenticationv1.UserInfo) (Identity, bool) {
	if node, ok := strings.CutPrefix(user.Username, userPrefix); ok {
		return Identity{Node: node, InNodesGroup: slices.Contains(user.Groups, nodesGroup)}, true
	}
	if account, ok := strings.CutPrefix(user.Username, accountPrefix); ok {
		namespace, name, _ := strings.Cut(account, ":")
		return Identity{
			Subject: policy.Subject{Kind: policy.ServiceAccount, Account: namespace + "/" + name}, Node: boundNode(user.Extra),
		}, true
	}
	if colon := strings.LastIndexByte(user.Username, ':'); colon >= 0 {
		return Identity{
			Subject: policy.Subject{Kind: policy.UsernamePrefix, Account: user.Username}, Node: nodeName(user.Username[colon+1:]),
		}, true
	}
	return Identity{}, false
}

// boundNode returns the name of the node to which a service account token is bound, and an empty one if the extra does not name exactly
// one.
func boundNode(extra map[string]authenticationv1.ExtraValue) string {
	names := extra[NodeNameExtra]
	if len(names) != 1 {
		return ""
	}
	return nodeName(names[0])
}

// nodeName returns a name that a Node can have, and an empty one for a longer one.
func nodeName(name string) string {
	if len(name) > maxNodeName {
		return ""
	}
	return name
}

// KubeletOf returns the identity of a kubelet, and false for other users.
func KubeletOf(user authenticationv1.UserInfo) (Identity, bool) {
	id, ok := SubjectOf(user)
	if !ok || !id.Subject.IsKubelet() {
		return Identity{}, false
	}
	return id, true
}

// ServiceAccountOf returns the user of a service account's token that is bound to a node, and of one that is bound to none if node is
// empty.
func ServiceAccountOf(namespace, name, node string) authenticationv1.UserInfo {
	user := authenticationv1.UserInfo{
		Username: accountPrefix + namespace + ":" + name,
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"},
	}
	if node != "" {
		user.Extra = map[string]authenticationv1.ExtraValue{NodeNameExtra: {node}}
	}
	return user
}

// UserOf returns the user of a kubelet's credential, with the groups of a stock one unless others are given.
func UserOf(node string, groups ...string) authenticationv1.UserInfo {
	if len(groups) == 0 {
		groups = []string{nodesGroup, "system:authenticated"}
	}
	return authenticationv1.UserInfo{Username: userPrefix + node, Groups: groups}
}
