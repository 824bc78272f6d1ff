// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package attack_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/kubelet"
	"noderestriction.plus/e2e/project"
	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/internal/attack"
	"noderestriction.plus/internal/cli"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/compile"
	"noderestriction.plus/internal/manifest"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

// TestCompiledPolicies has an API server enforce recommended and strict without the webhook, as compile writes them. It must stop what
// the webhook would stop, except what compile says that it leaves out, and nothing that a real kubelet writes.
func TestCompiledPolicies(t *testing.T) {
	s := suite.New(t, "compiled", controlplane.APIServerOptions{})
	c := &cluster{Suite: s}
	c.store(t)
	var policies []*manifest.Policy
	for _, preset := range []string{"recommended", "strict"} {
		loaded := load(t, preset)
		suite.Check(t, s.Kubectl.Apply(t.Context(), compiled(t, loaded[0], compile.Options{Partial: compile.Narrower})))
		policies = append(policies, loaded...)
	}
	t.Run("attacks", func(t *testing.T) { c.testCompiledAttacks(t, policies) })
	t.Run("a real kubelet", c.testCompiledKubelet)
}

// testCompiledAttacks waits until the policies are in force: no attack passes that they forbid. None of those in the catalogue needs what
// compile leaves out.
func (c *cluster) testCompiledAttacks(t *testing.T, policies []*manifest.Policy) {
	config, err := c.ControlPlane.APIServer.Admin()
	suite.Check(t, err)
	stopped := 0
	suite.Eventually(t, time.Minute, func() error {
		report, err := attack.Run(suite.Within(t, time.Minute), config, attack.Options{AsNode: node, Policies: policies})
		if err != nil {
			return err
		}
		stopped = 0
		for _, item := range report.Items {
			switch {
			case item.StoppedBy == string(attack.Here) && !item.Forbidden:
				t.Errorf("%s is stopped by %s, and no policy forbids it", item.Attack, item.Stopper)
			case item.StoppedBy == string(attack.Here):
				stopped++
			case item.Forbidden && item.StoppedBy == "nobody":
				err = errors.Join(err, fmt.Errorf("%s passes, which %s forbids", item.Attack, item.Rule))
			}
		}
		return err
	})
	if stopped < 40 {
		t.Errorf("only %d attacks are stopped by compiled policies", stopped)
	}
}

// testCompiledKubelet runs a real kubelet under the compiled policies.
func (c *cluster) testCompiledKubelet(t *testing.T) {
	const name = "hollow"
	began := time.Now()
	k := c.MustStartKubelet(t, kubelet.Options{Node: name})
	suite.Check(t, k.AddStaticPod("proxy", kubelet.StaticPod("proxy")))
	suite.Check(t, k.AwaitReady(suite.Within(t, time.Minute), c.Admin, began))
	c.AwaitPod(t, time.Minute, "kube-system", "proxy-"+name, suite.Running)
	restarted := time.Now()
	suite.Check(t, k.Restart())
	suite.Check(t, k.AwaitReady(suite.Within(t, time.Minute), c.Admin, restarted))
	suite.Check(t, k.RemoveStaticPod("proxy"))
	c.AwaitPod(t, time.Minute, "kube-system", "proxy-"+name, suite.Gone)
	log, err := os.ReadFile(k.LogFile())
	suite.Check(t, err)
	if bytes.Contains(log, []byte("denied request")) {
		t.Errorf("a write of the kubelet was denied, see %s", k.LogFile())
	}
}

func load(t *testing.T, preset string) []*manifest.Policy {
	t.Helper()
	root, err := project.Root()
	suite.Check(t, err)
	loaded, err := cli.LoadPolicies(&command.Inputs{}, []string{filepath.Join(root, "config", "policies", preset+".yaml")})
	suite.Check(t, err)
	return loaded
}

// compiled returns the manifest of a policy as an API server enforces it.
func compiled(t *testing.T, p *manifest.Policy, options compile.Options) []byte {
	t.Helper()
	on := slices.DeleteFunc(rules.All(), func(r policy.Rule) bool { return !slices.Contains(p.Compiled.Rules(), r.ID) })
	out, err := compile.Compile(p.Object, on, options)
	suite.Check(t, err)
	t.Log(out.Report.Summary())
	var documents bytes.Buffer
	encoder := json.NewEncoder(&documents)
	for _, kind := range out.Kinds {
		for _, object := range []any{kind.Policy, kind.Binding} {
			documents.WriteString("---\n")
			suite.Check(t, encoder.Encode(object))
		}
	}
	return documents.Bytes()
}
