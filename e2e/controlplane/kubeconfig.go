// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// WriteKubeconfig writes a connection, with its certificates and its token, as a kubeconfig.
func WriteKubeconfig(path string, c *rest.Config) error {
	const name = "e2e"
	return clientcmd.WriteToFile(api.Config{
		Clusters: map[string]*api.Cluster{
			name: {Server: c.Host, CertificateAuthorityData: c.CAData},
		},
		AuthInfos: map[string]*api.AuthInfo{
			name: {ClientCertificateData: c.CertData, ClientKeyData: c.KeyData, Token: c.BearerToken},
		},
		Contexts:       map[string]*api.Context{name: {Cluster: name, AuthInfo: name}},
		CurrentContext: name,
	}, path)
}
