// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package checks

import (
	rbacv1 "k8s.io/api/rbac/v1"

	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/nodeauthorizer"
)

func nodesProxy() Check {
	return Check{
		ID: "nodes-proxy", Severity: nodeauthorizer.Critical, Worst: Bad,
		Asks: "Can only administrators reach the API of kubelets, and run commands in kube-system?",
		Gain: "runs commands in every container of every node: get of nodes/proxy is enough, by a WebSocket",
		How: "It reads who has nodes/proxy, with any verb, and who may exec into or attach to pods of kube-system. Monitoring agents often have" +
			" the former and need only nodes/metrics.",
		Needs: rbacNeeds(authorization.Request{Verb: "list", Group: "apps", Resource: "daemonsets"}), run: runNodesProxy,
	}
}

func runNodesProxy(s *Snapshot, f *Finding) {
	e, ok := s.evaluator(f)
	if !ok {
		return
	}
	known(s, f, &s.DaemonSets) // whose tokens every node has
	var proxy, exec []authorization.Request
	for _, verb := range []string{"get", "create"} {
		proxy = append(proxy, authorization.Request{Verb: verb, Resource: "nodes", Subresource: "proxy"})
		for _, subresource := range []string{"exec", "attach"} {
			exec = append(exec, authorization.Request{Verb: verb, Resource: "pods", Subresource: subresource, Namespace: "kube-system"})
		}
	}
	type condition = func(string, *rbacv1.PolicyRule) bool
	f.who(s, e, &power{does: "may use the API of every kubelet (nodes/proxy)", rules: []condition{anyOf(proxy...)}})
	f.who(s, e, &power{does: "may run commands in pods of kube-system", rules: []condition{
		func(namespace string, rule *rbacv1.PolicyRule) bool {
			return anyOf(exec...)(namespace, rule) && !anyOf(proxy...)(namespace, rule)
		},
	}})
}
