// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/knowngrants"
	"noderestriction.plus/internal/nodeauthorizer"
	"noderestriction.plus/internal/text"
)

func distribution() Check {
	return Check{
		ID: "distribution", Severity: nodeauthorizer.Low, Worst: Weak,
		Asks: "Which distribution is it, and does it ship permissions for kubelets that others do not?",
		Gain: "knows in advance what every cluster of this distribution gives to kubelets",
		How: "It reads labels and annotations of Nodes, their operating system, and the version. It names the profile for the chart's value" +
			" policies.distribution, and what is known of the distribution, with its source. All of this can be forged by a node: it is a" +
			" hint, and no other check relies on it.",
		Needs: []authorization.Request{{Verb: "list", Resource: "nodes"}}, run: runDistribution,
	}
}

// knownDistribution is how a distribution is recognized.
type knownDistribution struct {
	name, profile string
	version       string   // a part of the version of the API server or of kubelets
	labels        []string // of Nodes; prefixes
	os            string   // how the operating system begins
	annotation    string   // of Nodes
	ships         string   // what it gives to kubelets that is more than harmless, with the source
}

func knownDistributions() []knownDistribution {
	return []knownDistribution{
		{name: "K3s", profile: "k3s", version: "+k3s"},
		{name: "RKE2", profile: "rke2", version: "+rke2r"},
		{
			name: "k0s", profile: "k0s", version: "+k0s",
			ships: "permissions of its autopilot for all kubelets: all Nodes and pods (k0sproject/k0s@dff90cee systemrbac-ap.yaml, 2026-08-21)",
		},
		{name: "EKS", version: "-eks-", labels: []string{"eks.amazonaws.com/"}},
		{name: "GKE", profile: "gke", version: "-gke.", labels: []string{"cloud.google.com/gke-"}},
		{
			name: "AKS", profile: "aks", labels: []string{"kubernetes.azure.com/"},
			ships: "a binding of the whole role system:node to all kubelets, in some clusters (Azure/AKS#3004, 2022-11 to 2023-02)",
		},
		{
			name: "OpenShift", profile: "openshift", labels: []string{"node.openshift.io/"},
			ships: "wide reads for all kubelets (openshift/openshift-apiserver@56aa2d96 pkg/bootstrappolicy, 2026-08-22)",
		},
		{
			name: "MicroK8s", labels: []string{"microk8s.io/"},
			ships: "the authorizer AlwaysAllow until the add-on rbac, and no NodeRestriction plugin (canonical/microk8s@d099c907, 2026-06-30)",
		},
		{name: "Talos", profile: "talos", os: "Talos"},
		{name: "kOps", profile: "kops", labels: []string{"kops.k8s.io/"}},
		{name: "kubeadm", profile: "kubeadm", annotation: "kubeadm.alpha.kubernetes.io/cri-socket"},
	}
}

func (d *knownDistribution) is(versions []string, nodes []corev1.Node) bool {
	if d.version != "" && slices.ContainsFunc(versions, func(v string) bool { return strings.Contains(v, d.version) }) {
		return true
	}
	for i := range nodes {
		n := &nodes[i]
		if _, found := n.Annotations[d.annotation]; found && d.annotation != "" {
			return true
		}
		if d.os != "" && strings.HasPrefix(n.Status.NodeInfo.OSImage, d.os) ||
			d.version != "" && strings.Contains(n.Status.NodeInfo.KubeletVersion, d.version) {
			return true
		}
		for label := range n.Labels {
			if slices.ContainsFunc(d.labels, func(prefix string) bool { return strings.HasPrefix(label, prefix) }) {
				return true
			}
		}
	}
	return false
}

func runDistribution(s *Snapshot, f *Finding) {
	nodes, ok := known(s, f, &s.Nodes)
	if !ok {
		return
	}
	found := false
	for _, d := range knownDistributions() {
		if !d.is(s.Versions.Value, nodes) {
			continue
		}
		found = true
		profile := "no profile is needed"
		if d.profile != "" {
			profile = "its profile is --set policies.distribution=" + d.profile
		}
		f.note("it looks like %s: %s", d.name, profile)
		if d.ships != "" {
			f.weak(d.name, "nodes", Fix{
				Command: "kubectl nrp doctor", On: OnCluster, Note: "the other checks say whether this cluster has it; this one stays weak",
			}, "it ships %s", d.ships)
		}
	}
	// Names of bindings are hints, too; other checks compare rules.
	for i := range s.ClusterRoleBindings.Value {
		name := s.ClusterRoleBindings.Value[i].Name
		for _, g := range knowngrants.Grants() {
			if g.Binding == name && g.FullNode {
				found = true
				f.weak(g.Distribution, "clusterrolebindings", deletion("clusterrolebinding", "", name), "it has %s, which %s (%s, %s)",
					text.Quote(name),
					g.Effect, g.Source, g.SourceAt)
			}
		}
	}
	if !found {
		f.note("it is not one of those that are known")
	}
}
