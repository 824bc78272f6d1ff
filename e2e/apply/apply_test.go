// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package apply_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"noderestriction.plus/e2e/apply"
	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/suite"
)

// cluster is an API server that has the CRD and no webhook: what it says it says by the schema alone.
type cluster struct {
	kubectl, kubeconfig string
	sections            []apply.Section
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c, _ := newControlPlane(t)
	return c
}

func newControlPlane(t *testing.T) (*cluster, *controlplane.ControlPlane) {
	t.Helper()
	schema, crd, err := apply.ReadSchema()
	suite.Check(t, err)
	c := &cluster{sections: apply.Sections(&schema)}
	if len(c.sections) < 50 {
		t.Fatalf("the schema has only %d sections", len(c.sections))
	}
	dir := t.TempDir()
	plane, err := controlplane.Start(t.Context(), controlplane.Options{Dir: dir, Log: t.Output()})
	suite.Check(t, err)
	t.Cleanup(plane.Stop)
	config, err := plane.Admin()
	suite.Check(t, err)
	c.kubeconfig = filepath.Join(dir, "admin.kubeconfig")
	suite.Check(t, controlplane.WriteKubeconfig(c.kubeconfig, config))
	c.kubectl, err = binaries.Path(t.Context(), t.Output(), binaries.Kubectl())
	suite.Check(t, err)
	c.run(t, nil, "create", "--filename="+crd)
	c.run(t, nil, "wait", "--for=condition=Established", "--timeout=2m", "crd/noderestrictionpolicies.noderestriction.plus")
	return c, plane
}

// output is how a command ended.
type output struct {
	stdout, stderr string
	code           int
}

func command(t *testing.T, input []byte, env []string, name string, args ...string) output {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin = bytes.NewReader(input)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatal(err)
	}
	return output{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// try runs kubectl.
func (c *cluster) try(t *testing.T, input []byte, args ...string) output {
	t.Helper()
	return command(t, input, nil, c.kubectl, append([]string{"--kubeconfig=" + c.kubeconfig}, args...)...)
}

// run runs kubectl, which must succeed.
func (c *cluster) run(t *testing.T, input []byte, args ...string) string {
	t.Helper()
	out := c.try(t, input, args...)
	if out.code != 0 {
		t.Fatalf("kubectl %v: %s", args, out.stderr)
	}
	return out.stdout
}

// values are what a section may be applied with.
var values = map[string]func(s apply.Section) any{
	"custom": func(s apply.Section) any { return s.Full() },
	"empty":  func(apply.Section) any { return map[string]any{} },
}

// policies are the policies of all sections, with one of values each.
func (c *cluster) policies(name string) []any {
	list := make([]any, len(c.sections))
	for i, s := range c.sections {
		list[i] = s.Policy(values[name](s))
	}
	return list
}

func list(t *testing.T, items []any) []byte {
	t.Helper()
	data, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": items})
	suite.Check(t, err)
	return data
}

// checkStored checks that what is stored is what was applied, with nothing added and nothing left.
func (c *cluster) checkStored(t *testing.T, name string) {
	t.Helper()
	var stored struct {
		Items []struct {
			Metadata struct{ Name string }
			Spec     map[string]any
		}
	}
	suite.Check(t, json.Unmarshal([]byte(c.run(t, nil, "get", "nrp", "--output=json")), &stored))
	specs := map[string]map[string]any{}
	for _, item := range stored.Items {
		specs[item.Metadata.Name] = item.Spec
	}
	for _, s := range c.sections {
		data, err := json.Marshal(s.Policy(values[name](s))["spec"])
		suite.Check(t, err)
		var want map[string]any
		suite.Check(t, json.Unmarshal(data, &want))
		if have := specs[s.Name()]; !reflect.DeepEqual(have, want) {
			t.Errorf("%s: %v is stored, want %v", s.Name(), have, want)
		}
	}
}

func (c *cluster) clear(t *testing.T) {
	t.Helper()
	c.run(t, nil, "delete", "nrp", "--all", "--wait=true")
}

// TestSections takes each section of the schema from a value to {} and back, in each of the ways in which people apply.
func TestSections(t *testing.T) {
	c := newCluster(t)
	t.Run("by server-side apply", c.testServerSide)
	t.Run("from client-side to server-side apply", c.testMigration)
	t.Run("by Helm", c.testHelm)
	t.Run("against another owner", c.testConflict)
	t.Run("with null", c.testNull)
}

func (c *cluster) testServerSide(t *testing.T) {
	defer c.clear(t)
	for i, name := range []string{"custom", "empty", "custom", "empty"} {
		manifests := list(t, c.policies(name))
		if i > 0 {
			// 0: no difference, 1: some, beyond: an error.
			if out := c.try(t, manifests, "diff", "--server-side", "--filename=-"); out.code > 1 {
				t.Errorf("kubectl diff to %s: %s", name, out.stderr)
			}
		}
		c.run(t, manifests, "apply", "--server-side", "--filename=-")
		c.checkStored(t, name)
	}
}

func (c *cluster) testMigration(t *testing.T) {
	for _, from := range []string{"custom", "empty"} {
		for _, to := range []string{"custom", "empty"} {
			c.run(t, list(t, c.policies(from)), "apply", "--filename=-")
			manifests := list(t, c.policies(to))
			if out := c.try(t, manifests, "diff", "--server-side", "--filename=-"); out.code > 1 {
				t.Errorf("kubectl diff from %s to %s: %s", from, to, out.stderr)
			}
			c.run(t, manifests, "apply", "--server-side", "--filename=-")
			c.checkStored(t, to)
			c.clear(t)
		}
	}
}

func (c *cluster) testHelm(t *testing.T) {
	defer c.clear(t)
	helm, err := binaries.Helm(t.Context(), t.Output())
	suite.Check(t, err)
	chart := t.TempDir()
	suite.Check(t, os.MkdirAll(filepath.Join(chart, "templates"), 0o755))
	suite.Check(t, os.WriteFile(filepath.Join(chart, "Chart.yaml"), []byte("{apiVersion: v2, name: policies, version: 1.0.0}"), 0o600))
	suite.Check(t, os.WriteFile(filepath.Join(chart, "templates", "policies.yaml"),
		[]byte("{{ range .Values.policies }}\n---\n{{ toYaml . }}\n{{ end }}"), 0o600))
	do := func(args ...string) {
		t.Helper()
		env := []string{"KUBECONFIG=" + c.kubeconfig, "HOME=" + chart}
		if out := command(t, nil, env, helm, args...); out.code != 0 {
			t.Fatalf("helm %v: %s", args, out.stderr)
		}
	}
	valuesOf := func(name string) string {
		data, err := yaml.Marshal(map[string]any{"policies": c.policies(name)})
		suite.Check(t, err)
		file := filepath.Join(t.TempDir(), name+".yaml")
		suite.Check(t, os.WriteFile(file, data, 0o600))
		return "--values=" + file
	}
	do("install", "policies", chart, "--namespace=default", valuesOf("custom"))
	c.checkStored(t, "custom")
	do("upgrade", "policies", chart, "--namespace=default", valuesOf("empty"))
	c.checkStored(t, "empty")
	do("upgrade", "policies", chart, "--namespace=default", valuesOf("custom"))
	c.checkStored(t, "custom")
	do("rollback", "policies", "2", "--namespace=default")
	c.checkStored(t, "empty")
	do("rollback", "policies", "1", "--namespace=default")
	c.checkStored(t, "custom")
}

// testConflict shows that only different values of the same section or group conflict.
func (c *cluster) testConflict(t *testing.T) {
	defer c.clear(t)
	c.run(t, list(t, c.policies("custom")), "apply", "--server-side", "--field-manager=first", "--filename=-")
	c.run(t, list(t, c.policies("custom")), "apply", "--server-side", "--field-manager=second", "--filename=-")
	for _, s := range c.sections {
		if !s.HasFields() {
			continue
		}
		manifest, err := json.Marshal(s.Policy(map[string]any{}))
		suite.Check(t, err)
		out := c.try(t, manifest, "apply", "--server-side", "--field-manager=third", "--filename=-")
		if owned := ".spec." + s.Path[0]; out.code == 0 || !strings.Contains(out.stderr, owned+"\n") {
			t.Errorf("%s: want a conflict about %s, got %+v", s.Name(), owned, out)
		}
	}
}

// testNull shows what a section without a value is: server-side apply refuses it. Where an object is created or updated, the API server
// drops it before anything can look, which is why check reports it.
func (c *cluster) testNull(t *testing.T) {
	defer c.clear(t)
	items := make([]any, len(c.sections))
	for i, s := range c.sections {
		policy := s.Policy(map[string]any{})
		at := policy["spec"].(map[string]any)
		for _, name := range s.Path[:len(s.Path)-1] {
			at = at[name].(map[string]any)
		}
		at[s.Path[len(s.Path)-1]] = nil
		items[i] = policy
	}
	out := c.try(t, list(t, items), "apply", "--server-side", "--dry-run=server", "--filename=-")
	for _, s := range c.sections {
		if !strings.Contains(out.stderr, fmt.Sprintf("%q is invalid", s.Name())) {
			t.Errorf("%s: null is accepted by server-side apply", s.Name())
		}
	}
	if t.Failed() {
		t.Log(out.stderr)
	}
	created := c.try(t, list(t, items), "create", "--dry-run=server", "--output=json", "--filename=-")
	if created.code != 0 || strings.Contains(created.stdout, "null") {
		t.Errorf("a new policy with a section without a value: got %+v", created)
	}
}
