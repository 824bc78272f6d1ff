// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/rbac"
)

// grant is a rule that Kubernetes or a distribution is known to give to a crowd.
type grant struct {
	distribution, source, date string
	// group is the name of the group or the user; with a star at the end, how it begins.
	group     string
	namespace string // of the RoleBinding; empty: a ClusterRoleBinding
	rules     []rbacv1.PolicyRule
	// harmless grants are ok, others weak.
	harmless bool
}

func (g *grant) covers(subject *rbacv1.Subject, r *authorization.Request) bool {
	prefix, pattern := strings.CutSuffix(g.group, "*")
	if subject.Name != g.group && (!pattern || !strings.HasPrefix(subject.Name, prefix)) || g.namespace != "" && g.namespace != r.Namespace {
		return false
	}
	return slices.ContainsFunc(g.rules, func(rule rbacv1.PolicyRule) bool { return allowsAll(&rule, r) })
}

// allowsAll is [rbac.RuleAllows], where a request for "*" is one for everything that the asterisk stands for.
func allowsAll(rule *rbacv1.PolicyRule, r *authorization.Request) bool {
	return rbac.RuleAllows(rule, r)
}

func grantRule(verbs, group, resources string, names ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{
		Verbs: strings.Fields(verbs), APIGroups: []string{group}, Resources: strings.Fields(resources), ResourceNames: names,
	}
}

func paths(list string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: strings.Fields(list)}
}

// grants returns the catalogue of what crowds have: by Kubernetes, then by distributions, with source and date. What binds the whole role
// system:node is in [fullBindings].
func grants() []grant {
	const (
		kube      = "Kubernetes"
		bootstrap = "kubernetes/kubernetes v1.37.2 plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go"
		kubeadm   = "kubernetes/kubernetes v1.37.2 cmd/kubeadm/app/phases"
		csr       = "certificates.k8s.io"
		requests  = "certificatesigningrequests"
		audience  = "request-serviceaccounts-token-audience"
		read      = "get list watch"
		openshift = "openshift/openshift-apiserver@56aa2d96 pkg/bootstrappolicy, openshift/machine-config-operator@7ff337a4"
		k0s       = "k0sproject/k0s@dff90cee"
	)
	var nodes, everybody = authorization.NodesGroup, authorization.AuthenticatedGroup
	list := []grant{
		{kube, bootstrap, "2026-11-30", everybody, "", []rbacv1.PolicyRule{
			grantRule("create", "authorization.k8s.io", "selfsubjectaccessreviews selfsubjectrulesreviews"),
			grantRule("create", "authentication.k8s.io", "selfsubjectreviews"),
			paths("/api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/"),
		}, true},
		{kube, bootstrap, "2026-11-30", unauthenticatedGroup, "", []rbacv1.PolicyRule{paths("/healthz /livez /readyz /version /version/")}, true},
		{kube, bootstrap, "2026-11-30", "system:serviceaccounts", "", []rbacv1.PolicyRule{
			paths("/.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks /openid/v1/jwks/"),
		}, true},
		{kube, bootstrap, "2026-11-30", bootstrappersGroup + "*", "", []rbacv1.PolicyRule{grantRule("create get list watch", csr, requests)}, true},
		{kube, bootstrap, "2026-11-30", nodes, "", []rbacv1.PolicyRule{grantRule("create", csr, requests+"/selfnodeclient")}, true},

		{"kubeadm", kubeadm + "/bootstraptoken", "2026-11-30", bootstrappersGroup + "*", "", []rbacv1.PolicyRule{
			grantRule("get", "", "nodes"), grantRule("create", csr, requests+"/nodeclient"), // the latter is for the check mint-node
		}, true},
		{"kubeadm", kubeadm + "/bootstraptoken", "2026-11-30", anonymousUser, "kube-public", []rbacv1.PolicyRule{
			grantRule("get", "", "configmaps", "cluster-info"),
		}, true},
		{"kubeadm", kubeadm + "/uploadconfig", "2026-11-30", nodes, "kube-system", []rbacv1.PolicyRule{
			grantRule("get", "", "configmaps", "kubeadm-config", "kubelet-config"),
		}, true},
		{"kubeadm", kubeadm + "/uploadconfig", "2026-11-30", bootstrappersGroup + "*", "kube-system", []rbacv1.PolicyRule{
			grantRule("get", "", "configmaps", "kubeadm-config", "kubelet-config", "kube-proxy"),
		}, true},
		{"EKS", "access entries, an article on repost.aws", "2024", nodes, "", []rbacv1.PolicyRule{
			grantRule("create", csr, requests+"/selfnodeserver"),
		}, true},
		{"GCE kube-up", "kubernetes/kubernetes v1.37.2 cluster/addons/rbac", "2026-11-30", nodes, "", []rbacv1.PolicyRule{
			grantRule("create", csr, requests+"/selfnodeclient "+requests+"/selfnodeserver"),
		}, true},
		{"Talos", "siderolabs/talos@ad882317 internal/app/machined/pkg/controllers/k8s/k8stemplates", "2026-08-14", nodes, "", []rbacv1.PolicyRule{
			grantRule(read, "discovery.k8s.io", "endpointslices"),
		}, true},

		{"OpenShift", openshift, "2026-08-22", nodes, "", []rbacv1.PolicyRule{
			grantRule(read, "", "nodes services endpoints namespaces serviceaccounts"), grantRule(read, "discovery.k8s.io", "endpointslices"),
			grantRule(read, "networking.k8s.io", "networkpolicies"), grantRule(audience, "", "*"),
		}, false},
		{"k0s", k0s + " pkg/component/controller/systemrbac-ap.yaml", "2026-08-21", nodes, "", []rbacv1.PolicyRule{
			grantRule("get list watch update patch", "", "nodes"), grantRule("get list watch delete", "", "pods"),
			grantRule("create", "", "pods/eviction"), grantRule("get list", "apps", "daemonsets"),
			grantRule("get", "", "namespaces", "kube-system"), grantRule(read, "autopilot.k0sproject.io", "plans controlnodes"),
		}, false},
		{"k0s", k0s + " pkg/component/controller/systemrbac.yaml", "2026-08-21", bootstrappersGroup, "", []rbacv1.PolicyRule{
			grantRule("create", csr, requests+"/nodeclient"),
		}, true},
	}
	// Static pods of OpenShift's infrastructure read their configuration with the kubelet's credential.
	for _, platform := range []string{"kni", "openstack", "ovirt", "vsphere"} {
		list = append(list, grant{"OpenShift", openshift, "2026-08-20", nodes, "openshift-" + platform + "-infra", []rbacv1.PolicyRule{
			grantRule(read, "", "configmaps"),
		}, false})
	}
	return list
}

// fullBinding is a binding of the whole role system:node that a distribution is known for.
type fullBinding struct{ binding, distribution, says, source string }

func fullBindings() []fullBinding {
	return []fullBinding{
		{"kubespray:system:node", "kubespray", "kubespray binds it for registrations, although its kubelets do not need it",
			"kubernetes-sigs/kubespray@46dbdd39 roles/kubernetes-apps/cluster_roles, 2026-08-21"},
		{"system:aks-client-nodes", "AKS", "AKS binds it; whether a cluster still has it differs", "Azure/AKS#3004, 2022-11 to 2023-02"},
		{"kubelet-cluster-admin", "GCE kube-up", "kube-up binds it to the bootstrap user kubelet",
			"kubernetes/kubernetes v1.37.2 cluster/addons/rbac/legacy-kubelet-user, 2026-11-30"},
		{"system-node", "Typhoon", "Typhoon binds it", "poseidon/terraform-render-bootstrap#100, 2019"},
	}
}
