// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package knowngrants has, as data, what Kubernetes itself and its distributions grant to kubelets by RBAC beyond the Node
// authorizer, each with its source and date. Names are not trusted: a grant is known only for the rules that the source has.
package knowngrants

import (
	"slices"
	"strings"

	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/nodeauthorizer"
	"noderestriction.plus/internal/rbac"
)

// Grant is a binding that a distribution ships.
type Grant struct {
	Distribution     string
	Kind             string // of the binding
	Namespace        string // of a RoleBinding; empty: any
	Binding, Role    string
	To               string // the group or user that gets it
	Rules            []Rule
	FullNode         bool   // the role is system:node, which undoes the Node authorizer
	Effect           string // in a few words
	Source, SourceAt string // where it was read, and the date of what was read, as far as it is known
}

// Rule allows verbs on resources of a group; with Names only on objects of these names. With Paths it is about paths.
type Rule struct{ Verbs, Group, Resources, Names, Paths string }

const (
	nodes         = authorization.NodesGroup
	authenticated = authorization.AuthenticatedGroup
	certificates  = "certificates.k8s.io"
	csr           = "certificatesigningrequests/"
	selfClient    = "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient"
	selfServer    = "system:certificates.k8s.io:certificatesigningrequests:selfnodeserver"

	kubernetesSource = "kubernetes v1.37.2, plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go"
	kubeadmSource    = "kubernetes v1.37.2, cmd/kubeadm/app/phases"
	at2026           = "2026-11"
)

func read(group, resources string) Rule {
	return Rule{Verbs: "get list watch", Group: group, Resources: resources}
}

func create(resources string) []Rule {
	return []Rule{{Verbs: "create", Group: certificates, Resources: resources}}
}

// Grants returns all known grants.
func Grants() []Grant {
	cluster := func(distribution, binding, role, to, effect, source, at string, rules ...Rule) Grant {
		return Grant{
			Distribution: distribution, Kind: rbac.ClusterRoleBinding, Binding: binding, Role: role, To: to, Rules: rules,
			Effect: effect, Source: source, SourceAt: at,
		}
	}
	local := func(distribution, namespace, binding, role, effect, source, at string, rules ...Rule) Grant {
		g := cluster(distribution, binding, role, nodes, effect, source, at, rules...)
		g.Kind, g.Namespace = rbac.RoleBinding, namespace
		return g
	}
	full := func(distribution, binding, effect, source, at string) Grant {
		g := cluster(distribution, binding, "system:node", nodes, effect, source, at)
		g.FullNode = true
		return g
	}
	const (
		rotation = "own client certificates are renewed without an approver"
		serving  = "own serving certificates are approved automatically"
		undone   = "undoes the Node authorizer: every kubelet reads every Secret"
	)
	return []Grant{
		cluster("Kubernetes", "system:discovery", "system:discovery", authenticated, "discovery and health", kubernetesSource, at2026,
			Rule{Verbs: "get", Paths: "/livez /readyz /healthz /version /version/ /openapi /openapi/* /api /api/* /apis /apis/*"}),
		cluster("Kubernetes", "system:public-info-viewer", "system:public-info-viewer", authenticated, "version and health",
			kubernetesSource, at2026, Rule{Verbs: "get", Paths: "/livez /readyz /healthz /version /version/"}),
		cluster("Kubernetes", "system:basic-user", "system:basic-user", authenticated, "asks about itself", kubernetesSource, at2026,
			Rule{Verbs: "create", Group: "authorization.k8s.io", Resources: "selfsubjectaccessreviews selfsubjectrulesreviews"},
			Rule{Verbs: "create", Group: "authentication.k8s.io", Resources: "selfsubjectreviews"}),

		local("kubeadm", "kube-system", "kubeadm:kubelet-config", "kubeadm:kubelet-config", "kubeadm upgrade node reads it",
			kubeadmSource, at2026, Rule{Verbs: "get", Resources: "configmaps", Names: "kubelet-config"}),
		local("kubeadm", "kube-system", "kubeadm:nodes-kubeadm-config", "kubeadm:nodes-kubeadm-config", "kubeadm upgrade node reads it",
			kubeadmSource, at2026, Rule{Verbs: "get", Resources: "configmaps", Names: "kubeadm-config"}),
		cluster("kubeadm", "kubeadm:node-autoapprove-certificate-rotation", selfClient, nodes, rotation, kubeadmSource, at2026,
			create(csr+"selfnodeclient")...),

		full("AKS", "system:aks-client-nodes", undone,
			"github.com/Azure/AKS/issues/3004, and an audit line in public; the current state is not verified", "2023-02"),
		full("kubespray", "kubespray:system:node", undone,
			"kubespray@46dbdd39, roles/kubernetes-apps/cluster_roles", at2026),

		cluster("EKS", "eks:node-bootstrapper", "eks:node-bootstrapper", nodes, serving, "repost.aws, in a public copy", "2024",
			create("certificatesigningrequests "+csr+"selfnodeserver")...),
		cluster("GKE and GCE", "gce:beta:kubelet-certificate-rotation", selfClient, nodes, rotation,
			"kubernetes v1.37.2, cluster/addons/rbac; GKE: a public listing of bindings", "2024", create(csr+"selfnodeclient")...),
		cluster("GKE and GCE", "gce:beta:kubelet-certificate-rotation", "gce:beta:kubelet-certificate-rotation", nodes, rotation,
			"kubernetes v1.37.2, cluster/addons/rbac; GKE: a public listing of bindings", "2024",
			create(csr+"selfnodeclient "+csr+"selfnodeserver")...),

		cluster("OpenShift", "system:node-proxiers", "system:node-proxier", nodes, "reads all Nodes and endpoints",
			"openshift-apiserver@56aa2d96, pkg/bootstrappolicy", at2026, read("", "nodes"),
			Rule{Verbs: "list watch", Resources: "services endpoints"},
			Rule{Verbs: "list watch", Group: "discovery.k8s.io", Resources: "endpointslices"}),
		cluster("OpenShift", "system:sdn-readers", "system:sdn-reader", nodes, "reads all Nodes, namespaces and network policies",
			"openshift-apiserver@56aa2d96, pkg/bootstrappolicy", at2026, read("", "nodes namespaces"),
			read("networking.k8s.io extensions", "networkpolicies")),
		cluster("OpenShift", "node-credential-providers-binding", "node-credential-providers", nodes, "reads all service accounts",
			"machine-config-operator@7ff337a4", at2026, Rule{Verbs: "get list", Resources: "serviceaccounts"},
			Rule{Verbs: "request-serviceaccounts-token-audience", Resources: "*"}),
		local("OpenShift", "", "host-networking-system-node", "host-networking-system-node",
			"static pods of the infrastructure read ConfigMaps with the kubelet's kubeconfig", "machine-config-operator@7ff337a4", at2026,
			read("", "configmaps")),
		cluster("OpenShift and Talos", "system-bootstrap-node-renewal", selfClient, nodes, rotation,
			"machine-config-operator@7ff337a4; talos@ad882317, k8stemplates/csr.go", at2026, create(csr+"selfnodeclient")...),

		cluster("k0s", "system:nodes:autopilot", "system:nodes:autopilot", nodes,
			"reads, changes and deletes all pods and Nodes, as far as admission lets it", "k0s@dff90cee, manifests systemrbac-ap.yaml", at2026,
			Rule{Verbs: "get list watch update patch", Resources: "nodes"}, Rule{Verbs: "get list watch delete", Resources: "pods"},
			Rule{Verbs: "create", Resources: "pods/eviction"}, read("apps", "daemonsets"),
			Rule{Verbs: "get", Resources: "namespaces", Names: "kube-system"}, Rule{Verbs: "*", Group: "autopilot.k0sproject.io", Resources: "*"}),
		cluster("k0s", "node-autoapprove-certificate-rotation", selfClient, nodes, rotation, "k0s@dff90cee, systemrbac.yaml", at2026,
			create(csr+"selfnodeclient")...),

		cluster("Talos", "system:talos-nodes", "system:talos-nodes", nodes, "finds the API servers by their EndpointSlices",
			"talos@6ea50fb3, k8stemplates/talos.go", at2026, read("discovery.k8s.io", "endpointslices")),
	}
}

// Find returns the known grant that is the reason for a match of RBAC, or nil. The binding, the role and the rule all have to be those
// of the source. The table says what the ClusterRole system:node has.
func Find(table *nodeauthorizer.Table, match *rbac.Grant, r *authorization.Request) *Grant {
	for _, g := range append(Grants(), Others()...) {
		if g.Kind == match.BindingKind && g.Binding == match.Binding && g.Role == match.Role &&
			(g.Namespace == "" || g.Namespace == match.BindingNamespace) && g.To == match.Subject.Name && g.allows(table, r) {
			return &g
		}
	}
	return nil
}

func (g *Grant) allows(table *nodeauthorizer.Table, r *authorization.Request) bool {
	return g.FullNode && table.SystemNode(r) ||
		slices.ContainsFunc(g.Rules, func(rule Rule) bool { return rule.allows(r) })
}

func (rule *Rule) allows(r *authorization.Request) bool {
	if !has(rule.Verbs, r.Verb) {
		return false
	}
	if r.Path != "" {
		return slices.ContainsFunc(strings.Fields(rule.Paths), func(path string) bool {
			prefix, pattern := strings.CutSuffix(path, "*")
			return path == r.Path || pattern && strings.HasPrefix(r.Path, prefix)
		})
	}
	resource := r.Resource
	if r.Subresource != "" {
		resource += "/" + r.Subresource
	}
	return (rule.Group == r.Group || has(rule.Group, r.Group)) && has(rule.Resources, resource) &&
		(rule.Names == "" || has(rule.Names, r.Name))
}

// has reports whether a list, with blanks between its words, has a word or "*".
func has(list, word string) bool {
	words := strings.Fields(list)
	return slices.Contains(words, word) || slices.Contains(words, "*")
}
