// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/nodeauthorizer"
	"noderestriction.plus/internal/text"
)

func skew() Check {
	return Check{
		ID: "skew", Severity: nodeauthorizer.Medium, Worst: Bad,
		Asks: "Are the API servers one version, with kubelets that it supports and that the rules were tested with?",
		Gain: "finds an API server that still lets kubelets read all Nodes and pods, or a kubelet for which a policy had to be loosened",
		How: "It reads /version several times, on new connections, and the version of each kubelet from its Node. A kubelet that is newer than" +
			" the API server or more than three minor releases older is bad. A kubelet before 1.34, with which the rules were not tested, an API" +
			" server before 1.32, and API servers of several versions are weak.",
		Needs: []authorization.Request{{Verb: "list", Resource: "nodes"}}, run: runSkew,
	}
}

const (
	testedKubelet  = 34 // the oldest minor release with which the rules were tested
	selectorsSince = 32 // the minor release from which the Node authorizer reads selectors
	supportedSkew  = 3
)

func runSkew(s *Snapshot, f *Finding) {
	versions, ok := known(s, f, &s.Versions)
	if !ok {
		return
	}
	newest := -1
	for _, v := range versions {
		minor, ok := minorOf(v)
		if !ok {
			f.cannot("the version of the API server is %s", text.Quote(v))
			return
		}
		newest = max(newest, minor)
		if minor < selectorsSince {
			f.weak("kube-apiserver", "version", Fix{On: OnControlPlane, Note: "upgrade the control plane to 1.32 or newer"},
				"%s lets each kubelet read all Nodes and pods", text.Quote(v))
		}
	}
	if len(versions) > 1 {
		f.weak("kube-apiserver", "version", Fix{On: OnControlPlane, Note: "finish the upgrade of the control plane"},
			"API servers have the versions %s", text.QuoteAll(versions))
	}
	nodes, ok := known(s, f, &s.Nodes)
	if !ok {
		return
	}
	for i := range nodes {
		version := nodes[i].Status.NodeInfo.KubeletVersion
		object := "Node " + text.Quote(nodes[i].Name)
		const field = "status.nodeInfo.kubeletVersion"
		upgrade := Fix{On: OnNode, Note: "upgrade the kubelet; with kubeadm: kubeadm upgrade node, then the package kubelet"}
		minor, ok := minorOf(version)
		switch {
		case version == "": // not reported yet
		case !ok:
			f.weak(object, field, upgrade, "its kubelet has the version %s", text.Quote(version))
		case minor > newest:
			upgrade.Note = "upgrade the control plane first, or go back with this kubelet"
			f.bad(object, field, upgrade, "its kubelet %s is newer than the API server", text.Quote(version))
		case minor < newest-supportedSkew:
			f.bad(object, field, upgrade, "its kubelet %s is more than three minor releases older than the API server", text.Quote(version))
		case minor < testedKubelet:
			f.weak(object, field, upgrade, "its kubelet %s is older than 1.34, with which the rules were tested: use Audit first",
				text.Quote(version))
		}
	}
}
