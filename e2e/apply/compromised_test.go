// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package apply_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/project"
	"noderestriction.plus/e2e/suite"
)

// compromised is what is in the cluster before the commands of docs/node-compromised.md.
const compromised = `
{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
{apiVersion: v1, kind: Node, metadata: {name: worker-7}}
---
{apiVersion: v1, kind: Node, metadata: {name: worker-8}}
---
{apiVersion: v1, kind: Secret, metadata: {name: db, namespace: shop}}
---
{apiVersion: v1, kind: Secret, metadata: {name: other, namespace: shop}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  nodeName: worker-7
  automountServiceAccountToken: false
  containers: [{name: c, image: registry.example.com/c, envFrom: [{secretRef: {name: db}}]}]
`

// steps are the commands of the page, a script for each.
func steps(t *testing.T) []string {
	t.Helper()
	root, err := project.Root()
	suite.Check(t, err)
	page, err := os.ReadFile(filepath.Join(root, "docs", "node-compromised.md"))
	suite.Check(t, err)
	var scripts []string
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		scripts = append(scripts, block[1])
	}
	return scripts
}

// TestNodeCompromised runs the commands of docs/node-compromised.md in their order.
func TestNodeCompromised(t *testing.T) {
	c, plane := newControlPlane(t)
	c.run(t, []byte(compromised), "create", "--filename=-")
	do := func(script string) string {
		t.Helper()
		env := []string{"KUBECONFIG=" + c.kubeconfig, "PATH=" + filepath.Dir(c.kubectl) + ":" + os.Getenv("PATH"), "NODE=worker-7"}
		script = "kubectl() { " + filepath.Base(c.kubectl) + ` "$@"; }` + "\n" + script
		out := command(t, nil, env, "sh", "-euc", script)
		if out.code != 0 {
			t.Fatalf("%s\n%s", script, out.stderr)
		}
		return out.stdout
	}
	config, err := plane.Kubelet("worker-7")
	suite.Check(t, err)
	kubelet := &cluster{kubectl: c.kubectl, kubeconfig: filepath.Join(t.TempDir(), "kubelet")}
	suite.Check(t, controlplane.WriteKubeconfig(kubelet.kubeconfig, config))
	n := 0
	writes := func() output {
		n++
		return kubelet.try(t, nil, "annotate", "--overwrite", "node", "worker-7", fmt.Sprintf("example.com/n=%d", n))
	}
	if out := writes(); out.code != 0 {
		t.Fatalf("the kubelet cannot write before: %s", out.stderr)
	}
	scripts := steps(t)
	if len(scripts) != 7 {
		t.Fatalf("the page has %d scripts", len(scripts))
	}
	do(scripts[1])
	if got := c.run(t, nil, "get", "node", "worker-7", "--output=jsonpath={.spec.unschedulable}"); got != "true" {
		t.Errorf("the Node is not cordoned: %q", got)
	}
	do(scripts[2])
	if got := c.run(t, nil, "get", "nrp", "lockdown-worker-7", "--output=jsonpath={.spec.lockdown}"); got != "{}" {
		t.Errorf("the policy has lockdown %q", got)
	}
	do(scripts[3])
	suite.Eventually(t, time.Minute, func() error {
		if out := writes(); !strings.Contains(out.stderr, "the node is locked down") {
			return fmt.Errorf("the kubelet still writes: %s", out.stderr)
		}
		return nil
	})
	listed := do(scripts[4])
	if !strings.Contains(listed, "shop/db\n") || strings.Contains(listed, "shop/other\n") || !strings.Contains(listed, "web") {
		t.Errorf("the list of what it could read is\n%s", listed)
	}
	do(scripts[5])
	suite.Eventually(t, time.Minute, func() error {
		if listed := do(scripts[4]); strings.Contains(listed, "shop/") {
			return fmt.Errorf("it can still read\n%s", listed)
		}
		return nil
	})
	do(scripts[6])
	out := kubelet.try(t, []byte(`{"apiVersion":"v1","kind":"Node","metadata":{"name":"worker-7"}}`), "create", "--filename=-")
	if !strings.Contains(out.stderr, "the node is locked down") {
		t.Errorf("the credential can register again: %+v", out)
	}
	if out := c.try(t, nil, "annotate", "node", "worker-8", "example.com/a=b"); out.code != 0 {
		t.Errorf("others cannot write: %s", out.stderr)
	}
}
