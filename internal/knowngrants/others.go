// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package knowngrants

import "noderestriction.plus/internal/rbac"

// Others returns the known grants to others than kubelets in whose groups an attacker may be: nodes that join, service accounts,
// and everybody without a credential.
func Others() []Grant {
	grant := func(distribution, kind, namespace, binding, role, to, effect, source string, rules ...Rule) Grant {
		return Grant{
			Distribution: distribution, Kind: kind, Namespace: namespace, Binding: binding, Role: role, To: to, Rules: rules, Effect: effect,
			Source: source, SourceAt: at2026,
		}
	}
	const (
		kube, kubeadm   = "Kubernetes", "kubeadm"
		cluster, local  = rbac.ClusterRoleBinding, rbac.RoleBinding
		unauthenticated = "system:unauthenticated"
		joining         = "system:bootstrappers:kubeadm:default-node-token"
		nodeClient      = "system:certificates.k8s.io:certificatesigningrequests:nodeclient"
		anyNode         = "certificates of any node, while a token lives"
	)
	requests := Rule{Verbs: "create get list watch", Group: certificates, Resources: "certificatesigningrequests"}
	return []Grant{
		grant(kube, cluster, "", "system:public-info-viewer", "system:public-info-viewer", unauthenticated, "version and health",
			kubernetesSource,
			Rule{Verbs: "get", Paths: "/livez /readyz /healthz /version /version/"}),
		grant(kube, cluster, "", "system:service-account-issuer-discovery", "system:service-account-issuer-discovery", "system:serviceaccounts",
			"public keys of the issuer", kubernetesSource,
			Rule{Verbs: "get", Paths: "/.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks /openid/v1/jwks/"}),
		grant(kubeadm, cluster, "", "kubeadm:kubelet-bootstrap", "system:node-bootstrapper", joining, "asks for a certificate", kubeadmSource,
			requests),
		grant(kubeadm, cluster, "", "kubeadm:get-nodes", "kubeadm:get-nodes", joining, "kubeadm join reads its Node", kubeadmSource,
			Rule{Verbs: "get", Resources: "nodes"}),
		grant(kubeadm, cluster, "", "kubeadm:node-autoapprove-bootstrap", nodeClient, joining, anyNode, kubeadmSource,
			create(csr+"nodeclient")...),
		grant(kubeadm, local, "kube-system", "kubeadm:kubelet-config", "kubeadm:kubelet-config", joining, "kubeadm join reads it", kubeadmSource,
			Rule{Verbs: "get", Resources: "configmaps", Names: "kubelet-config"}),
		grant(kubeadm, local, "kube-system", "kubeadm:nodes-kubeadm-config", "kubeadm:nodes-kubeadm-config", joining, "kubeadm join reads it",
			kubeadmSource, Rule{Verbs: "get", Resources: "configmaps", Names: "kubeadm-config"}),
		grant(kubeadm, local, "kube-system", "kube-proxy", "kube-proxy", joining, "kubeadm join reads it", kubeadmSource,
			Rule{Verbs: "get", Resources: "configmaps", Names: "kube-proxy"}),
		grant(kubeadm, local, "kube-public", "kubeadm:bootstrap-signer-clusterinfo", "kubeadm:bootstrap-signer-clusterinfo", "system:anonymous",
			"kubeadm join finds the cluster", kubeadmSource, Rule{Verbs: "get", Resources: "configmaps", Names: "cluster-info"}),
		grant("k0s", cluster, "", "kubelet-bootstrap", "system:node-bootstrapper", "system:bootstrappers", "asks for a certificate",
			"k0s@dff90cee, systemrbac.yaml", requests),
		grant("k0s", cluster, "", "node-autoapprove-bootstrap", nodeClient, "system:bootstrappers", anyNode, "k0s@dff90cee, systemrbac.yaml",
			create(csr+"nodeclient")...),
	}
}
