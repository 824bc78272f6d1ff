// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package profiles_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"noderestriction.plus/e2e/cluster"
	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/process"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/policy"
)

// staticName is the name of the configuration in the files, which no object of the API may have.
const staticName = cluster.Name + ".static.k8s.io"

// testFiles starts an API server with the files that the chart renders: it calls the program of the static pod although the API has no
// configuration, which therefore cannot be deleted there.
func (s *setup) testFiles(t *testing.T) {
	dir := filepath.Join(s.Dir, "files")
	files := s.installFiles(t, dir)
	pod := s.startStaticPod(t, files["static-pod.yaml"], dir)
	server := s.startConfigured(t, files, dir)
	s.checkNotInAPI(t)

	n := s.newNode(t, server, "filed")
	records := product.NewRecords(pod.stdout)
	n.awaitDenied(t)
	n.awaitFloor(t)
	s.addPods(t, n)
	attacks := n.attacks("filed", suite.Denied)
	n.do(t, attacks...)
	n.do(t, n.registersDenied(suite.Floor))
	n.do(t, n.stock("filed", suite.Exists)...)
	lines, err := records.Since(0)
	suite.Check(t, err)
	denied := 0
	for _, line := range lines {
		if line.Msg != policy.Denied || line.Node != n.name {
			t.Errorf("unexpected record: %s", line.Text)
		} else if !line.DryRun {
			denied++
		}
	}
	if denied < len(attacks) {
		t.Errorf("%d records of %d denials", denied, len(attacks))
	}

	s.checkCannotBeDeleted(t, server)
	n.do(t, n.attacks("filed", suite.Denied)...)
	_ = pod.process.Kill() // the error is that it was killed
	n.do(t, n.attacks("filed-down", suite.Unanswered)...)
	n.do(t, n.registersDenied(suite.Floor))
	n.do(t, n.stock("filed-down", suite.Exists)...)
}

// awaitDenied waits until the program denies an attack, which is a dry run.
func (n *node) awaitDenied(t *testing.T) {
	t.Helper()
	probe := suite.AddFinalizer(n.name)
	probe.DryRun = true
	suite.Eventually(t, recovery, func() error {
		if a := n.client.Do(t.Context(), probe); a.Outcome != suite.Denied {
			return errors.New(a.String())
		}
		return nil
	})
}

// installFiles installs the chart with files, creates what they refer to, and returns them.
func (s *setup) installFiles(t *testing.T, dir string) map[string]string {
	t.Helper()
	const user = "nrp"
	bundle, err := s.Provide(t.Context(), "unused")
	suite.Check(t, err)
	s.install(t, append(append(freePorts(t), bundle...),
		"profile=controlPlane", "policies.recommended=Deny", "controlPlane.static.enabled=true",
		"controlPlane.static.kubeconfig="+filepath.Join(dir, "kubeconfig"),
		"controlPlane.static.certificates="+filepath.Join(dir, "tls"),
		"controlPlane.static.manifests="+filepath.Join(dir, "admission"),
		"rbac.subjects[0].kind=User,rbac.subjects[0].apiGroup=rbac.authorization.k8s.io,rbac.subjects[0].name="+user,
	)...)
	serving, err := s.ControlPlane.CA.Server()
	suite.Check(t, err)
	suite.Check(t, serving.Write(filepath.Join(dir, "tls")))
	config, err := s.ControlPlane.User(user)
	suite.Check(t, err)
	suite.Check(t, controlplane.WriteKubeconfig(filepath.Join(dir, "kubeconfig"), config))
	stored, err := s.Admin.CoreV1().ConfigMaps(cluster.Namespace).Get(t.Context(), cluster.Name+"-files", metav1.GetOptions{})
	suite.Check(t, err)
	return stored.Data
}

// staticPod is the program of a static pod.
type staticPod struct {
	process *process.Process
	stdout  string
}

// startStaticPod runs the container of a static pod, in whose arguments this machine's paths replace the mounts.
func (s *setup) startStaticPod(t *testing.T, manifest, dir string) staticPod {
	t.Helper()
	pod := &corev1.Pod{}
	suite.Check(t, yaml.UnmarshalStrict([]byte(manifest), pod))
	c := pod.Spec.Containers[0]
	host := map[string]string{}
	for _, volume := range pod.Spec.Volumes {
		host[volume.Name] = volume.HostPath.Path
	}
	var args []string
	for _, arg := range c.Args {
		for _, mount := range c.VolumeMounts {
			arg = strings.Replace(arg, "="+mount.MountPath, "="+host[mount.Name], 1)
		}
		args = append(args, arg)
	}
	p := staticPod{stdout: filepath.Join(dir, "records.jsonl")}
	var err error
	p.process, err = process.Start(process.Spec{
		Name: "the static pod", Path: s.binary, Dir: dir, Args: args,
		LogFile: filepath.Join(dir, "log"), StdoutFile: p.stdout,
	})
	suite.Check(t, err)
	t.Cleanup(func() { _ = p.process.Kill() }) // the test may have killed it
	return p
}

// startConfigured writes the files and starts an API server that reads them.
func (s *setup) startConfigured(t *testing.T, files map[string]string, dir string) *controlplane.APIServer {
	t.Helper()
	configuration := filepath.Join(dir, "admission-configuration.yaml")
	for path, name := range map[string]string{
		filepath.Join(dir, "admission", "webhooks", "node-restriction-plus.yaml"): "webhooks.yaml",
		filepath.Join(dir, "admission", "policies", "node-restriction-plus.yaml"): "policies.yaml",
		configuration: "admission-configuration.yaml",
	} {
		suite.Check(t, os.MkdirAll(filepath.Dir(path), 0o755))
		suite.Check(t, os.WriteFile(path, []byte(files[name]), 0o600))
	}
	o, err := s.APIServerOptions()
	suite.Check(t, err)
	o.Args = append(o.Args, "--admission-control-config-file="+configuration)
	server, err := s.ControlPlane.AddAPIServer(t.Context(), o)
	suite.Check(t, err)
	return server
}

// checkNotInAPI checks that the API has neither a webhook configuration nor a floor.
func (s *setup) checkNotInAPI(t *testing.T) {
	t.Helper()
	registered := s.Admin.AdmissionregistrationV1()
	webhooks, err := registered.ValidatingWebhookConfigurations().List(t.Context(), metav1.ListOptions{})
	suite.Check(t, err)
	floors, err := registered.ValidatingAdmissionPolicies().List(t.Context(), metav1.ListOptions{})
	suite.Check(t, err)
	if len(webhooks.Items)+len(floors.Items) > 0 {
		t.Errorf("the API has %d webhook configurations and %d admission policies", len(webhooks.Items), len(floors.Items))
	}
}

// checkCannotBeDeleted checks that an administrator can neither delete nor replace the configuration of the files through the API.
func (s *setup) checkCannotBeDeleted(t *testing.T, server *controlplane.APIServer) {
	t.Helper()
	config, err := server.Admin()
	suite.Check(t, err)
	admin, err := kubernetes.NewForConfig(config)
	suite.Check(t, err)
	webhooks := admin.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	if err := webhooks.Delete(t.Context(), staticName, metav1.DeleteOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("delete: got %v, want not found", err)
	}
	empty := &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: staticName}}
	if _, err := webhooks.Create(t.Context(), empty, metav1.CreateOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("create: got %v, want invalid", err)
	}
}
