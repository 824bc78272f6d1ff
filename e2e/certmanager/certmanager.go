// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package certmanager runs the real cert-manager beside a control plane.
package certmanager

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/process"
	"noderestriction.plus/e2e/suite"
)

const (
	// namespace is where its chart installs cert-manager.
	namespace = "cert-manager"
	// patience bounds each wait, on a busy machine.
	patience = 3 * time.Minute
	// goMod and module are where its version and its chart come from.
	goMod  = "e2e/tools/cert-manager"
	module = "github.com/cert-manager/cert-manager"
)

// CertManager is cert-manager as its own chart installs it, with the permissions of the chart, except that its pods are processes.
type CertManager struct {
	suite                           *suite.Suite
	controller, cainjector, webhook *process.Process
}

// Prepare builds the program and downloads the chart, for a test that has no network.
func Prepare(ctx context.Context, log io.Writer) error {
	_, err := binaries.ModuleDir(ctx, goMod, module)
	if err == nil {
		_, err = binaries.Path(ctx, log, binaries.CertManager())
	}
	return err
}

// Install installs cert-manager for the duration of the test, and waits until API servers call its webhook.
func Install(t *testing.T, s *suite.Suite) *CertManager {
	t.Helper()
	program, err := binaries.Path(t.Context(), t.Output(), binaries.CertManager())
	suite.Check(t, err)
	ports, err := process.FreePorts(1)
	suite.Check(t, err)
	_, err = s.Admin.CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{})
	suite.Check(t, err)
	suite.Check(t, s.Kubectl.Apply(t.Context(), render(t, ports[0])))

	start := func(component, account string, args ...string) *process.Process {
		config, err := s.ControlPlane.User("system:serviceaccount:"+namespace+":"+account,
			"system:serviceaccounts", "system:serviceaccounts:"+namespace)
		suite.Check(t, err)
		kubeconfig := filepath.Join(s.Dir, account+".kubeconfig")
		suite.Check(t, controlplane.WriteKubeconfig(kubeconfig, config))
		p, err := process.Start(process.Spec{
			Name: component, Path: program, Args: append([]string{component, "--kubeconfig=" + kubeconfig}, args...),
			LogFile: filepath.Join(s.Dir, component+".log"),
		})
		suite.Check(t, err)
		return p
	}
	c := &CertManager{
		suite:      s,
		controller: start("controller", "cert-manager"),
		cainjector: start("cainjector", "cert-manager-cainjector"),
		webhook:    start("webhook", "cert-manager-webhook", fmt.Sprintf("--port=%d", ports[0])),
	}
	t.Cleanup(c.Kill)
	c.Await(t)
	return c
}

// render renders the chart in cert-manager's module, with its webhook at a port of this machine.
func render(t *testing.T, port int) []byte {
	t.Helper()
	dir, err := binaries.ModuleDir(t.Context(), goMod, module)
	suite.Check(t, err)
	helm, err := binaries.Helm(t.Context(), t.Output())
	suite.Check(t, err)
	manifests, err := exec.CommandContext(t.Context(), helm, "template", "cert-manager",
		filepath.Join(dir, "deploy", "charts", "cert-manager"), "--namespace="+namespace,
		"--set=crds.enabled=true,replicaCount=0,webhook.replicaCount=0,cainjector.replicaCount=0",
		"--set=startupapicheck.enabled=false", fmt.Sprintf("--set=webhook.url.host=localhost:%d", port)).Output()
	suite.Check(t, err)
	return manifests
}

// Await waits until an Issuer can be created: API servers call cert-manager's webhook, which has failurePolicy Fail, and
// trust it.
func (c *CertManager) Await(t *testing.T) {
	t.Helper()
	const issuer = `{apiVersion: cert-manager.io/v1, kind: Issuer,
  metadata: {name: any, namespace: default}, spec: {selfSigned: {}}}`
	suite.Eventually(t, patience, func() error {
		_, err := c.suite.Kubectl.Run(t.Context(), []byte(issuer), "create", "--dry-run=server", "--filename=-")
		return err
	})
}

func (c *CertManager) all() []*process.Process {
	return []*process.Process{c.controller, c.cainjector, c.webhook}
}

// Kill stops cert-manager.
func (c *CertManager) Kill() {
	for _, p := range c.all() {
		_ = p.Kill() // it may have exited
	}
}

// Restart restarts cert-manager after [CertManager.Kill].
func (c *CertManager) Restart(t *testing.T) {
	t.Helper()
	for _, p := range []**process.Process{&c.controller, &c.cainjector, &c.webhook} {
		again, err := (*p).Again()
		suite.Check(t, err)
		*p = again
	}
}
