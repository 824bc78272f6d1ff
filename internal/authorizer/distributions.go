// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package authorizer

import (
	"slices"
	"strings"

	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/text"
)

// Distribution is a distribution of Kubernetes: what its agents do with a kubelet's credential beyond the Node authorizer, or why the
// entry cannot be used there.
type Distribution struct {
	Name     string
	Source   string // what was looked at
	Kept     []Permission
	Unusable string // why the API server does not take the file; empty: it does
}

// Distributions returns what is known of distributions, by name.
func Distributions() []Distribution {
	return []Distribution{
		{Name: "aks", Source: "a managed control plane", Unusable: managed("AKS")},
		{Name: "eks", Source: "a managed control plane", Unusable: managed("EKS")},
		{Name: "gke", Source: "a managed control plane", Unusable: managed("GKE")},
		{
			Name: "k0s", Source: "k0sproject/k0s@dff90ce, pkg/component/controller/apiserver.go",
			Unusable: "k0s sets --authorization-mode itself, which excludes --authorization-config",
		},
		{Name: "k3s", Source: "k3s-io/k3s@0103601, and k3s#12017, which accepts --authorization-config"},
		{
			Name: "kops", Source: "kubernetes/kops@268927e",
			Unusable: "kOps has no field for --authorization-config",
		},
		{Name: "kubeadm", Source: "kubernetes/kubernetes v1.37.2, cmd/kubeadm/app", Kept: kubeadm()},
		{Name: "kubespray", Source: "kubernetes-sigs/kubespray@46dbdd3, which uses kubeadm", Kept: kubeadm()},
		{
			Name: "openshift", Source: "openshift/cluster-kube-apiserver-operator@c813e82",
			Unusable: "OpenShift asks RBAC before Node, and its operator writes the flags of the API server",
		},
		{Name: "rke2", Source: "rancher/rke2@6ce1a80, whose agents are those of k3s"},
		{Name: "talos", Source: "siderolabs/talos@ad88231, k8stemplates/talos.go", Kept: []Permission{{
			Why:       "Talos finds the API servers by their EndpointSlices",
			Verbs:     []string{"get", "list", "watch"},
			Groups:    []string{"discovery.k8s.io"},
			Resources: []string{"endpointslices"},
		}}},
	}
}

func managed(name string) string {
	return name + " does not let you set --authorization-config of its API servers"
}

// kubeadm returns what kubeadm upgrade node reads with the kubelet's credential. RBAC refuses the last ConfigMap. kubeadm continues
// after Forbidden, and fails after the internal error that the entry makes of a denial.
func kubeadm() []Permission {
	return []Permission{{
		Why:        "kubeadm upgrade node reads its configuration; RBAC refuses kube-proxy, which kubeadm expects",
		Verbs:      []string{"get"},
		Groups:     []string{""},
		Resources:  []string{"configmaps"},
		Names:      []string{"kubeadm-config", "kubelet-config", "kube-proxy"},
		Namespaces: []string{"kube-system"},
	}}
}

// distributionNames are the names for --distribution.
func distributionNames() []string {
	var names []string
	for _, d := range Distributions() {
		names = append(names, d.Name)
	}
	return names
}

// keptBy returns what the distributions with these names need.
func keptBy(names []string) ([]Permission, error) {
	var kept []Permission
	for _, name := range names {
		all := Distributions()
		i := slices.IndexFunc(all, func(d Distribution) bool { return d.Name == name })
		switch {
		case i < 0:
			return nil, command.Usagef("--distribution: %s is not known%s; known are %s",
				text.Quote(name), text.DidYouMean(name, distributionNames()), strings.Join(distributionNames(), ", "))
		case all[i].Unusable != "":
			return nil, command.Usagef("--distribution: %s", all[i].Unusable)
		}
		kept = append(kept, all[i].Kept...)
	}
	return kept, nil
}
