// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package learn_test learns a policy from the audit log of an API server, and enforces it there.
package learn_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/learn"
)

// TestMain discards the log of controller-runtime's client.
func TestMain(m *testing.M) { suite.Main(m) }

// evil is an annotation that only an attacker writes.
const evil = `{"metadata":{"annotations":{"example.com/evil":"%d"}}}`

// TestLearn has an agent on two nodes, and an attacker with the same user agent on a third.
func TestLearn(t *testing.T) {
	s := suite.New(t, "learn", controlplane.APIServerOptions{Args: []string{"--audit-policy-file=" + suite.AuditPolicy(t)}})
	clients := map[string]*suite.Client{}
	for i, node := range []string{"worker-1", "worker-2", "worker-3"} {
		c := suite.Kubelet(t, s.ControlPlane.APIServer, node)
		clients[node] = c
		c.MustSend(t, suite.RegisterNode(node, map[string]string{"example.com/pool": "a"}))
		c.MustSend(t, suite.Heartbeat(node, time.Now()))
		if node != "worker-3" {
			c.MustSend(t, suite.AnnotateAsK3s(t, s.GetNode(t, node), fmt.Sprintf("192.0.2.%d", i)))
		}
	}
	clients["worker-3"].MustSend(t, suite.PatchNodeStatus("worker-3", fmt.Sprintf(evil, 1)))
	clients["worker-3"].MustSend(t, suite.AddFinalizer("worker-3"))

	p := learned(t, s.ControlPlane.APIServer.AuditLog)
	if got, want := p.Spec.Nodes.Annotations.Allowed, []v1alpha1.KeyValuePattern{"k3s.io/*"}; !slices.Equal(got, want) {
		t.Fatalf("learned the annotations %q, want %q", got, want)
	}
	s.MustInstall(t, product.Options{})
	p.Spec.ValidationActions = []v1alpha1.ValidationAction{v1alpha1.Deny}
	suite.Check(t, product.Enforce(t.Context(), s.Policies, p))
	for i, node := range []string{"worker-1", "worker-3"} {
		clients[node].MustSend(t, suite.AnnotateAsK3s(t, s.GetNode(t, node), fmt.Sprintf("192.0.2.%d", 100+i)))
		clients[node].MustSend(t, suite.Heartbeat(node, time.Now()))
		if _, message := clients[node].Send(t, suite.PatchNodeStatus(node, fmt.Sprintf(evil, 2))).DeniedBy(); !strings.Contains(message, `"learned"`) {
			t.Errorf("%s: the policy does not deny what it has left for review: %s", node, message)
		}
	}
}

// learned runs the command as a user types it, and returns the policy.
func learned(t *testing.T, auditLog string) *v1alpha1.NodeRestrictionPolicy {
	t.Helper()
	cmd := command.Plugin(command.ByKubectl, learn.Command())
	var out, errs bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	cmd.SetArgs([]string{"learn", "--audit-log", auditLog, "--complete", "--agents", "Go-http-client"})
	if code := command.ExitCode(cmd.ExecuteContext(t.Context())); code != command.CodeNo {
		t.Fatalf("exit code %d: %s\n%s", code, errs.String(), out.String())
	}
	for _, want := range []string{"3 registrations", `had the labels "example.com/pool"`, "- example.com/evil # REVIEW: 1 node (worker-3)", "# - node-finalizers: 1 node"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the policy does not have %q:\n%s", want, out.String())
		}
	}
	p := &v1alpha1.NodeRestrictionPolicy{}
	suite.Check(t, yaml.UnmarshalStrict(out.Bytes(), p))
	return p
}
