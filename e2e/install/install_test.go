// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package install_test applies the install.yaml of a release to a bare control plane, as docs/install.md says, until a write is denied.
package install_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/cluster"
	"noderestriction.plus/e2e/project"
	"noderestriction.plus/e2e/suite"
)

const (
	node     = "worker-1"
	patience = 3 * time.Minute
)

// TestMain discards the log of controller-runtime's client.
func TestMain(m *testing.M) { suite.Main(m) }

func TestInstall(t *testing.T) {
	// The digest of an image is what these nodes know it by. The image itself is tested in tools/release.
	digest := strings.Repeat("0123456789abcdef", 4)
	product, err := binaries.Product(t.Context(), t.Output(), binaries.Plain())
	suite.Check(t, err)
	c := cluster.New(t, "install", cluster.Options{Nodes: 3, Images: map[string]string{digest: product}})
	for _, n := range c.Nodes {
		_, err := c.Admin.CoreV1().Nodes().Patch(t.Context(), n.Name, types.MergePatchType,
			[]byte(`{"metadata":{"labels":{"node-role.kubernetes.io/control-plane":""}}}`), metav1.PatchOptions{})
		suite.Check(t, err)
	}
	file := writeInstall(t, "sha256:"+digest)

	out, err := c.Kubectl.Run(t.Context(), nil, "apply", "--filename="+file)
	suite.Check(t, err)
	created := strings.Count(out, " created")
	if created < 15 || created != strings.Count(out, "\n") {
		t.Errorf("kubectl apply did not create every object:\n%s", out)
	}
	suite.Check(t, c.AwaitRollout(t.Context()))

	attacker := suite.Kubelet(t, c.ControlPlane.APIServer, node)
	awaitAnswer(t, attacker, suite.RegisterNode(node, nil), suite.Allowed)
	if a := attacker.Send(t, suite.AddFinalizer(node)); a.Outcome == suite.Denied {
		t.Fatalf("the policy of install.yaml must only record at first: %s", a)
	}
	suite.Check(t, c.AwaitRollout(t.Context()))

	// As docs/install.md says.
	_, err = c.Kubectl.Run(t.Context(), nil, "patch", "nrp", "recommended", "--type=merge",
		`--patch={"spec":{"validationActions":["Deny"]}}`)
	suite.Check(t, err)
	annotate := suite.PatchNodeStatus(node, `{"metadata":{"finalizers":["example.com/other"]}}`)
	awaitAnswer(t, attacker, annotate, suite.Denied)

	t.Run("applied again, it restores the policy's actions, and nothing stops", func(t *testing.T) {
		out, err := c.Kubectl.Run(t.Context(), nil, "apply", "--filename="+file)
		suite.Check(t, err)
		if strings.Contains(out, " created") {
			t.Errorf("kubectl apply created objects again:\n%s", out)
		}
		actions, err := c.Kubectl.Run(t.Context(), nil, "get", "nrp", "recommended", "--output=jsonpath={.spec.validationActions}")
		suite.Check(t, err)
		if actions != `["Audit"]` {
			t.Errorf("the actions are %s", actions)
		}
		suite.Check(t, c.AwaitRollout(t.Context()))
		awaitAnswer(t, attacker, suite.Heartbeat(node, time.Now()), suite.Allowed)
	})
}

// awaitAnswer sends a request until it has the outcome: the API server learns of the webhook configuration and of policies with a delay.
func awaitAnswer(t *testing.T, client *suite.Client, r suite.Request, want suite.Outcome) {
	t.Helper()
	suite.Eventually(t, patience, func() error {
		a := client.Do(t.Context(), r)
		if a.Outcome != want {
			return fmt.Errorf("%s, want %s", a, want)
		}
		return nil
	})
}

// writeInstall has the release's own program write install.yaml, for the image with the digest.
func writeInstall(t *testing.T, digest string) string {
	t.Helper()
	root, err := project.Root()
	suite.Check(t, err)
	helm, err := binaries.Helm(t.Context(), t.Output())
	suite.Check(t, err)
	file := filepath.Join(t.TempDir(), "install.yaml")
	cmd := exec.CommandContext(t.Context(), "go", "run", ".", "install", "-C="+root, "-o="+file, "-helm="+helm,
		"-image=registry.example.com/node-restriction-plus", "-version=v0.1.0", "-digest="+digest)
	cmd.Dir, cmd.Env = filepath.Join(root, "tools", "release"), append(os.Environ(), "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("release install: %v\n%s", err, out)
	}
	return file
}
