// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"noderestriction.plus/e2e/process"
)

// APIServerOptions are the differences from a stock API server.
type APIServerOptions struct {
	// WithoutNodeRestriction switches the NodeRestriction admission plugin off.
	WithoutNodeRestriction bool
	// WithServiceAccounts gives every pod a service account and its token, which needs controllers.
	WithServiceAccounts bool
	// AuthorizationConfig is the path of an AuthorizationConfiguration; empty: Node and RBAC.
	AuthorizationConfig string
	// WithKubeletClient gives the API server a credential with which it reads logs from kubelets that accept the CA.
	WithKubeletClient bool
	// AuditReads also logs what kubelets read.
	AuditReads bool
	// Args are further flags. The last one of several equal flags counts.
	Args []string
	// Env are variables of its environment, each as NAME=value, besides those of this process.
	Env []string
}

// APIServer is a kube-apiserver. All API servers of a control plane share one etcd.
type APIServer struct {
	// Host is its URL.
	Host string
	// AuditLog is the path of its audit log: every write by a kubelet, and if wanted every read, at level Metadata.
	AuditLog string

	ca      *CA
	dir     string
	process *process.Process
}

// auditPolicy logs what kubelets do, with the annotations of admission and authorization.
func auditPolicy(reads bool) string {
	policy := "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n"
	if !reads {
		policy += "- {level: None, verbs: [get, list, watch]}\n"
	}
	return policy + "- {level: Metadata, userGroups: [\"system:nodes\"]}\n- {level: None}\n"
}

// AddAPIServer starts another API server and waits until it is ready.
func (c *ControlPlane) AddAPIServer(ctx context.Context, o APIServerOptions) (*APIServer, error) {
	ports, err := process.FreePorts(1)
	if err != nil {
		return nil, err
	}
	dir := c.path(fmt.Sprintf("apiserver-%d", len(c.servers)+1))
	serving, err := c.CA.Server("kubernetes.default.svc", "10.0.0.1") // the address of the Service kubernetes
	if err != nil {
		return nil, err
	}
	if err := serving.Write(dir); err != nil {
		return nil, err
	}
	s := &APIServer{
		Host: fmt.Sprintf("https://127.0.0.1:%d", ports[0]), AuditLog: filepath.Join(dir, "audit.log"),
		ca: c.CA, dir: dir,
	}
	if err := os.WriteFile(filepath.Join(dir, "audit.yaml"), []byte(auditPolicy(o.AuditReads)), 0o644); err != nil {
		return nil, err
	}
	if err := s.writeKubeletClient(o); err != nil {
		return nil, err
	}
	s.process, err = process.Start(process.Spec{
		Name: "kube-apiserver", Path: c.binary, Dir: dir, LogFile: s.LogFile(), Env: o.Env,
		Args: append(c.apiServerArgs(s, o, ports[0]), o.Args...),
	})
	if err != nil {
		return nil, err
	}
	c.servers = append(c.servers, s)
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return s, s.awaitReady(ctx)
}

func (c *ControlPlane) apiServerArgs(s *APIServer, o APIServerOptions, port int) []string {
	args := []string{
		"--etcd-servers=" + c.etcdURL,
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", port),
		"--tls-cert-file=" + filepath.Join(s.dir, "tls.crt"),
		"--tls-private-key-file=" + filepath.Join(s.dir, "tls.key"),
		"--client-ca-file=" + c.path("ca.crt"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + c.path("service-account.key"),
		"--service-account-signing-key-file=" + c.path("service-account.key"),
		"--service-cluster-ip-range=10.0.0.0/24",
		"--allow-privileged=true", // as with kubeadm
		// The endpoint of an API server may not be a loopback address.
		"--endpoint-reconciler-type=none",
		"--audit-policy-file=" + filepath.Join(s.dir, "audit.yaml"),
		"--audit-log-path=" + s.AuditLog,
	}
	if o.AuthorizationConfig != "" {
		args = append(args, "--authorization-config="+o.AuthorizationConfig)
	} else {
		args = append(args, "--authorization-mode=Node,RBAC")
	}
	if !o.WithoutNodeRestriction {
		args = append(args, "--enable-admission-plugins=NodeRestriction")
	}
	if o.WithKubeletClient {
		args = append(args, "--kubelet-client-certificate="+filepath.Join(s.kubeletClient(), "tls.crt"),
			"--kubelet-client-key="+filepath.Join(s.kubeletClient(), "tls.key"), "--kubelet-preferred-address-types=InternalIP")
	}
	if !o.WithServiceAccounts {
		args = append(args, "--disable-admission-plugins=ServiceAccount")
	}
	return args
}

func (s *APIServer) kubeletClient() string { return filepath.Join(s.dir, "kubelet-client") }

// writeKubeletClient writes the credential for kubelets, that of an administrator, if the options say so.
func (s *APIServer) writeKubeletClient(o APIServerOptions) error {
	if !o.WithKubeletClient {
		return nil
	}
	client, err := s.ca.Client("kube-apiserver-kubelet-client", "system:masters")
	if err != nil {
		return err
	}
	return client.Write(s.kubeletClient())
}

// LogFile returns the path of its log.
func (s *APIServer) LogFile() string { return filepath.Join(s.dir, "kube-apiserver.log") }

// Await polls until the condition holds. It fails when the context ends, or when the API server exits.
func (s *APIServer) Await(ctx context.Context, condition func(context.Context) error) error {
	return s.process.Await(ctx, condition)
}

// awaitReady waits for the API server and for the namespaces that it creates.
func (s *APIServer) awaitReady(ctx context.Context) error {
	config, err := s.Admin()
	if err != nil {
		return err
	}
	admin, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	return s.process.Await(ctx, func(ctx context.Context) error {
		if err := admin.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error(); err != nil {
			return err
		}
		for _, namespace := range []string{metav1.NamespaceDefault, metav1.NamespaceSystem} {
			if _, err := admin.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{}); err != nil {
				return err
			}
		}
		return nil
	})
}

// Admin returns the connection of a cluster administrator.
func (s *APIServer) Admin() (*rest.Config, error) { return s.User("admin", "system:masters") }

// Kubelet returns the connection of a node's kubelet.
func (s *APIServer) Kubelet(node string) (*rest.Config, error) {
	return s.User("system:node:"+node, "system:nodes")
}

// User returns the connection of a user with a client certificate, without client-side rate limits.
func (s *APIServer) User(name string, groups ...string) (*rest.Config, error) {
	cert, err := s.ca.Client(name, groups...)
	if err != nil {
		return nil, err
	}
	return &rest.Config{
		Host: s.Host, QPS: -1,
		TLSClientConfig: rest.TLSClientConfig{CAData: s.ca.PEM(), CertData: cert.Cert, KeyData: cert.Key},
	}, nil
}
