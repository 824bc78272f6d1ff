// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package certmanager_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/process"
	"noderestriction.plus/e2e/suite"
)

const certManagerNamespace = "cert-manager"

// certManager is cert-manager as its own chart installs it, with the permissions of the chart, except that its pods are processes.
type certManager struct {
	controller, cainjector, webhook *process.Process
}

// installCertManager installs cert-manager and waits until API servers call its webhook.
func (s *setup) installCertManager(t *testing.T) *certManager {
	t.Helper()
	program, err := binaries.Path(t.Context(), t.Output(), binaries.CertManager())
	suite.Check(t, err)
	ports, err := process.FreePorts(1)
	suite.Check(t, err)
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: certManagerNamespace}}
	_, err = s.Admin.CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{})
	suite.Check(t, err)
	suite.Check(t, s.Kubectl.Apply(t.Context(), renderCertManager(t, ports[0])))

	start := func(component, account string, args ...string) *process.Process {
		config, err := s.ControlPlane.User("system:serviceaccount:"+certManagerNamespace+":"+account,
			"system:serviceaccounts", "system:serviceaccounts:"+certManagerNamespace)
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
	c := &certManager{
		controller: start("controller", "cert-manager"),
		cainjector: start("cainjector", "cert-manager-cainjector"),
		webhook:    start("webhook", "cert-manager-webhook", fmt.Sprintf("--port=%d", ports[0])),
	}
	t.Cleanup(c.kill)
	s.awaitCertManager(t)
	return c
}

// renderCertManager renders the chart in cert-manager's module, with its webhook at a port of this machine.
func renderCertManager(t *testing.T, port int) []byte {
	t.Helper()
	module, err := binaries.ModuleDir(t.Context(), "e2e/tools/cert-manager", "github.com/cert-manager/cert-manager")
	suite.Check(t, err)
	helm, err := binaries.Helm(t.Context(), t.Output())
	suite.Check(t, err)
	manifests, err := exec.CommandContext(t.Context(), helm, "template", "cert-manager",
		filepath.Join(module, "deploy", "charts", "cert-manager"), "--namespace="+certManagerNamespace,
		"--set=crds.enabled=true,replicaCount=0,webhook.replicaCount=0,cainjector.replicaCount=0",
		"--set=startupapicheck.enabled=false", fmt.Sprintf("--set=webhook.url.host=localhost:%d", port)).Output()
	suite.Check(t, err)
	return manifests
}

// awaitCertManager waits until an Issuer can be created: API servers call cert-manager's webhook, which has failurePolicy Fail, and
// trust it.
func (s *setup) awaitCertManager(t *testing.T) {
	t.Helper()
	const issuer = `{apiVersion: cert-manager.io/v1, kind: Issuer,
  metadata: {name: any, namespace: default}, spec: {selfSigned: {}}}`
	suite.Eventually(t, patience, func() error {
		_, err := s.Kubectl.Run(t.Context(), []byte(issuer), "create", "--dry-run=server", "--filename=-")
		return err
	})
}

func (c *certManager) all() []*process.Process {
	return []*process.Process{c.controller, c.cainjector, c.webhook}
}

// kill stops cert-manager.
func (c *certManager) kill() {
	for _, p := range c.all() {
		_ = p.Kill() // it may have exited
	}
}

// restart restarts cert-manager after kill.
func (c *certManager) restart(t *testing.T) {
	t.Helper()
	for _, p := range []**process.Process{&c.controller, &c.cainjector, &c.webhook} {
		again, err := (*p).Again()
		suite.Check(t, err)
		*p = again
	}
}

// install installs the chart, with further values, and waits until every replica is available.
func (s *setup) install(t *testing.T, values ...string) {
	t.Helper()
	began := time.Now()
	suite.Check(t, s.Install(t.Context(), tag, slices.Concat(s.values, values)...))
	suite.Check(t, s.AwaitRollout(t.Context()))
	t.Logf("installed after %s", time.Since(began).Round(100*time.Millisecond))
}

// awaitDenied waits until every replica denies: they are called in turn.
func (s *setup) awaitDenied(t *testing.T) {
	t.Helper()
	denied := 0
	suite.Eventually(t, patience, func() error {
		a := s.kubelet.Do(t.Context(), suite.AddFinalizer(node))
		if denied++; a.Outcome != suite.Denied {
			denied = 0
		}
		if denied < 9 {
			return fmt.Errorf("%d denials in a row, then %s", denied, a)
		}
		return nil
	})
}
