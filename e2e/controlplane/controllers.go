// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	"errors"
	"io"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/process"
)

// StartControllers starts kube-controller-manager and kube-scheduler as clients of the first API server, without listeners, and
// waits until pods can be created, which needs service accounts. Both are administrators. A node without a heartbeat for 12 s is marked
// Unknown. The flags are further ones of kube-controller-manager.
func (c *ControlPlane) StartControllers(ctx context.Context, log io.Writer, flags ...string) error {
	config, err := c.Admin()
	if err != nil {
		return err
	}
	return c.startControllers(ctx, log, config, config, flags)
}

// StartOwnControllers is [ControlPlane.StartControllers] with the users that kubeadm gives these programs. Each controller has a service
// account of its own.
func (c *ControlPlane) StartOwnControllers(ctx context.Context, log io.Writer, flags ...string) error {
	manager, err := c.User("system:kube-controller-manager")
	if err != nil {
		return err
	}
	scheduler, err := c.User("system:kube-scheduler")
	if err != nil {
		return err
	}
	return c.startControllers(ctx, log, manager, scheduler, append([]string{"--use-service-account-credentials"}, flags...))
}

func (c *ControlPlane) startControllers(ctx context.Context, log io.Writer, asManager, asScheduler *rest.Config, flags []string) error {
	config, err := c.Admin()
	if err != nil {
		return err
	}
	admin, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	common := func(name string, config *rest.Config) ([]string, error) {
		kubeconfig := c.path(name + ".kubeconfig")
		return []string{"--kubeconfig=" + kubeconfig, "--secure-port=0", "--leader-elect=false"}, WriteKubeconfig(kubeconfig, config)
	}
	ofManager, err := common("controllers", asManager)
	if err != nil {
		return err
	}
	manager, err := c.startClient(ctx, log, binaries.KubeControllerManager(), slices.Concat(ofManager, []string{
		"--service-account-private-key-file=" + c.path("service-account.key"),
		"--root-ca-file=" + c.path("ca.crt"),
		"--allocate-node-cidrs",
		"--cluster-cidr=10.244.0.0/16",
		"--node-monitor-period=1s",
		"--node-monitor-grace-period=12s",
		"--node-eviction-rate=10",
	}, flags))
	if err != nil {
		return err
	}
	ofScheduler, err := common("scheduler", asScheduler)
	if err != nil {
		return err
	}
	if _, err := c.startClient(ctx, log, binaries.KubeScheduler(), ofScheduler); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return manager.Await(ctx, func(ctx context.Context) error {
		var errs []error
		for _, namespace := range []string{metav1.NamespaceDefault, metav1.NamespaceSystem} {
			_, err := admin.CoreV1().ServiceAccounts(namespace).Get(ctx, "default", metav1.GetOptions{})
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	})
}

// startClient starts a program that only needs the API.
func (c *ControlPlane) startClient(
	ctx context.Context, log io.Writer, program binaries.Program, args []string,
) (*process.Process, error) {
	binary, err := binaries.Path(ctx, log, program)
	if err != nil {
		return nil, err
	}
	p, err := process.Start(process.Spec{
		Name: program.Name, Path: binary, Dir: c.dir, LogFile: c.path(program.Name + ".log"), Args: args,
	})
	if err != nil {
		return nil, err
	}
	c.clients = append(c.clients, p)
	return p, nil
}
