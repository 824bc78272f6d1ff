// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package suite is the setup that tests, benchmarks and the demo share: a control plane with its administrator, the product in
// front of it, clients with the credential of a kubelet, and the helpers of tests.
package suite

import (
	"context"
	"io"
	"path/filepath"

	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/kubectl"
	"noderestriction.plus/e2e/kubelet"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/project"
	"noderestriction.plus/internal/manifest"
)

// Options configure a control plane.
type Options struct {
	Dir       string                        // for data, certificates, kubeconfigs and logs; must exist
	Log       io.Writer                     // progress, if a program has to be built
	APIServer controlplane.APIServerOptions // of the first API server
	// WithoutKubectl leaves the path of Kubectl empty, so that nothing waits until kubectl is built.
	WithoutKubectl bool
}

// Suite is a control plane and its administrator, who can install the product.
type Suite struct {
	Dir          string
	ControlPlane *controlplane.ControlPlane
	Admin        kubernetes.Interface
	Policies     client.Client
	Kubectl      kubectl.Kubectl // of the administrator

	log io.Writer
}

// Start starts a control plane and waits until it is ready. If it fails, nothing is left running.
func Start(ctx context.Context, o Options) (*Suite, error) {
	s := &Suite{Dir: o.Dir, Kubectl: kubectl.Kubectl{Kubeconfig: filepath.Join(o.Dir, "admin.kubeconfig")}, log: o.Log}
	var err error
	if !o.WithoutKubectl {
		if s.Kubectl.Path, err = binaries.Path(ctx, o.Log, binaries.Kubectl()); err != nil {
			return nil, err
		}
	}
	s.ControlPlane, err = controlplane.Start(ctx, controlplane.Options{Dir: o.Dir, Log: o.Log, APIServer: o.APIServer})
	if err != nil {
		return nil, err
	}
	if err := s.Administer(s.ControlPlane.APIServer); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// Stop stops the control plane at once. What it logged stays in the directory.
func (s *Suite) Stop() { s.ControlPlane.Stop() }

// Administer makes the administrator use one of the API servers. At first it is the first one.
func (s *Suite) Administer(server *controlplane.APIServer) error {
	config, err := server.Admin()
	if err != nil {
		return err
	}
	if s.Admin, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	if s.Policies, err = product.Policies(config); err != nil {
		return err
	}
	return controlplane.WriteKubeconfig(s.Kubectl.Kubeconfig, config)
}

// Install installs the product outside the cluster, as [product.Install] does, and waits until these API servers call it, or the
// first one if none is named. Options that are zero have defaults: a build of this clone, the directory product, the
// administrator's connection and the CA of the control plane.
func (s *Suite) Install(ctx context.Context, o product.Options, servers ...*controlplane.APIServer) (*product.Product, error) {
	helm, err := binaries.Helm(ctx, s.log)
	if err != nil {
		return nil, err
	}
	return s.InstallWith(ctx, product.Programs{Kubectl: s.Kubectl, Helm: helm}, o, servers...)
}

// InstallWith is [Suite.Install] without kubectl and Helm.
func (s *Suite) InstallWith(
	ctx context.Context, with product.Installer, o product.Options, servers ...*controlplane.APIServer,
) (*product.Product, error) {
	o, err := s.complete(ctx, o)
	if err != nil {
		return nil, err
	}
	if len(servers) == 0 {
		servers = []*controlplane.APIServer{s.ControlPlane.APIServer}
	}
	return product.Install(ctx, o, with, servers...)
}

// StartProduct installs the CRD and starts the product, which no API server calls. Options have the defaults of [Suite.Install].
func (s *Suite) StartProduct(ctx context.Context, o product.Options) (*product.Product, error) {
	o, err := s.complete(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := product.ApplyCRD(ctx, s.Kubectl); err != nil {
		return nil, err
	}
	return product.Start(ctx, o)
}

func (s *Suite) complete(ctx context.Context, o product.Options) (product.Options, error) {
	var err error
	if o.Binary == "" {
		if o.Binary, err = binaries.Product(ctx, s.log, binaries.Plain()); err != nil {
			return o, err
		}
	}
	if o.Dir == "" {
		o.Dir = filepath.Join(s.Dir, "product")
	}
	if o.Config == nil {
		if o.Config, err = s.ControlPlane.Admin(); err != nil {
			return o, err
		}
	}
	if o.CA == nil {
		o.CA = s.ControlPlane.CA
	}
	return o, nil
}

// StartKubelet starts a real kubelet, which may not have registered yet. Options that are zero have defaults: a directory and the
// credential of the node's name.
func (s *Suite) StartKubelet(ctx context.Context, o kubelet.Options) (*kubelet.Kubelet, error) {
	if o.Dir == "" {
		o.Dir = filepath.Join(s.Dir, o.Node)
	}
	if o.Log == nil {
		o.Log = s.log
	}
	if o.Config == nil {
		var err error
		if o.Config, err = s.ControlPlane.Kubelet(o.Node); err != nil {
			return nil, err
		}
	}
	return kubelet.Start(ctx, o)
}

// ShippedPolicies returns the policies of a file in config/policies, by its name without the extension.
func ShippedPolicies(name string) ([]*v1alpha1.NodeRestrictionPolicy, error) {
	data, err := project.ReadFile("config", "policies", name+".yaml")
	if err != nil {
		return nil, err
	}
	return manifest.Policies(data)
}
