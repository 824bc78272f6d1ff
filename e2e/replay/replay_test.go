// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package replay_test compares what the command replay says of an API server's audit log with what the webhook has recorded.
package replay_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/kubelet"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/internal/auditlog"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/replay"
	"noderestriction.plus/internal/replays"
	"noderestriction.plus/policy"
)

const node = "worker-1"

// TestMain discards the log of controller-runtime's client.
func TestMain(m *testing.M) { suite.Main(m) }

// cluster is a control plane with the audit policy of docs/replay.md, and the product with policies that audit.
type cluster struct {
	*suite.Suite
	product  *product.Product
	policies []*v1alpha1.NodeRestrictionPolicy
	files    []string // of the policies
}

func TestReplay(t *testing.T) {
	c := &cluster{Suite: suite.New(t, "replay", controlplane.APIServerOptions{
		Args: []string{"--audit-policy-file=" + suite.AuditPolicy(t)},
	})}
	c.product = c.MustInstall(t, product.Options{})
	c.enforce(t)
	t.Run("verdicts", c.testVerdicts)
	t.Run("failed open", c.testFailedOpen)
}

// enforce applies policies that audit, and keeps them in files.
func (c *cluster) enforce(t *testing.T) {
	t.Helper()
	shipped, err := suite.ShippedPolicies("strict")
	suite.Check(t, err)
	site := &v1alpha1.NodeRestrictionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "site"}}
	site.Spec.Match = &v1alpha1.Match{NodeNames: []v1alpha1.Pattern{"down-*"}}
	site.Spec.Nodes.Images = &v1alpha1.NodeImages{AllowedRepositories: []v1alpha1.Pattern{"registry.example.com/*"}}
	c.policies = append(shipped, site)
	for _, p := range c.policies {
		p.Spec.ValidationActions = []v1alpha1.ValidationAction{v1alpha1.Audit}
		suite.Check(t, product.Enforce(t.Context(), c.Policies, p))
		p.APIVersion, p.Kind = v1alpha1.GroupVersion().String(), v1alpha1.Kind
		path := filepath.Join(t.TempDir(), p.Name+".json")
		suite.Check(t, os.WriteFile(path, suite.JSON(t, p), 0o600))
		c.files = append(c.files, path)
	}
}

// testVerdicts compares the verdict on each write of a real kubelet, and of an attacker with its credential, with the decision of the
// webhook, which the audit log has as annotations.
func (c *cluster) testVerdicts(t *testing.T) {
	k := c.MustStartKubelet(t, kubelet.Options{Node: node, Heartbeat: time.Second})
	suite.Check(t, k.AddStaticPod("static", kubelet.StaticPod("static")))
	suite.Check(t, k.AwaitReady(suite.Within(t, 2*time.Minute), c.Admin, time.Time{}))
	c.runPod(t, "web")
	c.AwaitPod(t, 2*time.Minute, metav1.NamespaceSystem, "static-"+node, suite.Running)
	attacker := suite.Kubelet(t, c.ControlPlane.APIServer, node)
	for _, r := range attacks() {
		for range 2 { // the second time, most change nothing
			if a := attacker.Do(t.Context(), r); a.Outcome == suite.NoAnswer {
				t.Fatal(a.String())
			}
		}
	}
	suite.Check(t, c.Admin.CoreV1().Pods(metav1.NamespaceDefault).Delete(t.Context(), "web", metav1.DeleteOptions{}))
	c.AwaitPod(t, 2*time.Minute, metav1.NamespaceDefault, "web", suite.Gone)
	suite.Check(t, k.RemoveStaticPod("static"))
	c.AwaitPod(t, 2*time.Minute, metav1.NamespaceSystem, "static-"+node, suite.Gone)
	suite.Check(t, k.Restart())
	suite.Check(t, k.AwaitReady(suite.Within(t, 2*time.Minute), c.Admin, time.Now()))
	k.Stop()
	c.compare(t)
}

// runPod runs a pod on the node.
func (c *cluster) runPod(t *testing.T, name string) {
	t.Helper()
	_, err := c.Admin.CoreV1().Pods(metav1.NamespaceDefault).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": name}},
		Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: "c", Image: kubelet.Stays}}},
	}, metav1.CreateOptions{})
	suite.Check(t, err)
	c.AwaitPod(t, 2*time.Minute, metav1.NamespaceDefault, name, suite.Running)
}

// attacks are writes that violate policies, or would if something else had been stored.
func attacks() []suite.Request {
	status := func(patch string) suite.Request { return suite.PatchNodeStatus(node, patch) }
	pod := func(patch string) suite.Request { return suite.PatchStatus(suite.PodsPath+"/web", patch) }
	dry := status(`{"metadata":{"labels":{"example.com/dry":"true"}}}`)
	dry.DryRun = true
	operations := status(`[{"op":"add","path":"/metadata/labels/example.com~1json","value":"x"}]`)
	operations.Type = suite.JSONPatch
	apply := suite.Request{
		Method: http.MethodPatch, Path: suite.NodesPath + "/" + node + "/status", Type: suite.ApplyPatch, Query: "fieldManager=evil",
		Body: `{"apiVersion":"v1","kind":"Node","metadata":{"name":"` + node + `","labels":{"example.com/applied":"x"}}}`,
	}
	return []suite.Request{
		status(`{"metadata":{"labels":{"example.com/dedicated":"pci"}}}`),
		suite.Strategic(status(`{"metadata":{"labels":{"example.com/dedicated":null,"example.com/other":"x"}}}`)),
		status(suite.Finalizer), dry, operations, apply,
		suite.PatchNode(node, `{"spec":{"unschedulable":true}}`),
		suite.PatchNode(node, `{"spec":{"unschedulable":null}}`),
		suite.Strategic(status(`{"status":{"conditions":[{"type":"example.com/Problem","status":"True"}]}}`)),
		status(`{"status":{"capacity":{"cpu":"100000"}}}`),
		status(`{"status":{"volumesAttached":[{"name":"x","devicePath":""}]}}`),
		pod(`{"metadata":{"labels":{"app":"other"}}}`),
		pod(`{"metadata":{"annotations":{"example.com/x":"y"}}}`),
		suite.Strategic(pod(`{"status":{"conditions":[{"type":"example.com/gate","status":"True"}]}}`)),
		suite.Evict("web-of-nobody"),
	}
}

// compare replays the audit log, and compares each verdict with the annotations of the event.
func (c *cluster) compare(t *testing.T) {
	t.Helper()
	writes, r := c.replay(t, &replay.Options{Policies: c.policies, Complete: true})
	changedNothing := c.changedNothing(t)
	decided, denied, unknown := 0, 0, map[string]int{}
	for _, w := range writes {
		if w.Request.NodeName != node {
			continue // the enforcement probe
		}
		for _, u := range w.Unknown {
			if u.Reason != replay.IsApplied && u.Reason != replay.IsLookup {
				t.Errorf("%s %s %s/%s at %s: %s %s: %s", w.AuditID, w.Request.Operation, w.Request.Resource, w.Request.Subresource, w.Time, u.Rule,
					u.Part, u.Reason)
			}
			unknown[fmt.Sprintf("%s %s: %s", u.Rule, u.Part, u.Reason)]++
		}
		got, want := rulesOf(w.Violations), recorded(w.Annotations)
		if len(want) > 0 {
			denied++
		}
		if len(w.Unknown) > 0 {
			continue
		}
		decided++
		if len(got) == 0 && changedNothing[w.AuditID] {
			continue // an API server may try an update on a cached object first, which was stale here
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s %s %s/%s at %s: the webhook recorded %q, replay says %q", w.AuditID, w.Request.Operation, w.Request.Resource,
				w.Request.Subresource, w.Time, want, got)
		}
	}
	counts := r.Counts()
	t.Logf("%d of %d writes are decided, %d were recorded; %d links, %d breaks; unknown: %v", decided, counts.Writes, denied, counts.Links,
		counts.Breaks, unknown)
	switch {
	case denied < 10:
		t.Errorf("the webhook has recorded only %d writes", denied)
	case counts.Breaks > 0:
		t.Errorf("%d of %d answers do not follow from the one before, but no write is missing", counts.Breaks, counts.Links)
	}
}

// replay evaluates the audit log.
func (c *cluster) replay(t *testing.T, o *replay.Options) ([]*replay.Write, *replay.Replay) {
	t.Helper()
	var writes []*replay.Write
	r, err := replay.New(o, func(w *replay.Write) error {
		writes = append(writes, w)
		return nil
	})
	suite.Check(t, err)
	data, err := os.ReadFile(c.ControlPlane.APIServer.AuditLog)
	suite.Check(t, err)
	log := auditlog.NewLog(auditlog.Auto)
	log.Want = r.Wants
	suite.Check(t, log.Read(bytes.NewReader(data), r.Add))
	suite.Check(t, r.Finish())
	return writes, r
}

// changedNothing returns the IDs of the requests whose answers have the resourceVersion of an earlier one.
func (c *cluster) changedNothing(t *testing.T) map[string]bool {
	t.Helper()
	data, err := os.ReadFile(c.ControlPlane.APIServer.AuditLog)
	suite.Check(t, err)
	seen, same := map[string]bool{}, map[string]bool{}
	r, err := replay.New(&replay.Options{}, nil)
	suite.Check(t, err)
	log := auditlog.NewLog(auditlog.Auto)
	log.Want = r.Wants
	suite.Check(t, log.Read(bytes.NewReader(data), func(e *auditlog.Event) error {
		var answer metav1.PartialObjectMetadata
		if len(e.ResponseObject) > 0 {
			suite.Check(t, json.Unmarshal(e.ResponseObject, &answer))
		}
		if answer.ResourceVersion == "" {
			return nil
		}
		version := string(answer.UID) + " " + answer.ResourceVersion
		same[e.AuditID] = seen[version]
		seen[version] = true
		return nil
	}))
	return same
}

// rulesOf returns the rules of violations, sorted, each once.
func rulesOf(violations []replay.Violation) []string {
	var all []string
	for _, v := range violations {
		all = append(all, string(v.Rule))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// recorded returns the rules that the webhook has recorded for a write, sorted, by the annotations of its audit event.
func recorded(annotations map[string]string) []string {
	var all []string
	for key, value := range annotations {
		if strings.HasSuffix(key, ".noderestriction.plus/rule") {
			all = append(all, strings.Split(value, ",")...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// testFailedOpen stops the webhook. Of ten writes that pass, four violate a policy.
func (c *cluster) testFailedOpen(t *testing.T) {
	const down = "down-1"
	c.CreateNode(t, down)
	sender := suite.Kubelet(t, c.ControlPlane.APIServer, down)
	suite.Check(t, c.product.Process().Stop(time.Minute))
	defer func() { suite.Check(t, c.product.Run(t.Context())) }()
	for i := range 10 {
		patch := fmt.Sprintf(`{"status":{"images":[{"names":["registry.example.com/a:%d"]}]}}`, i)
		if i%3 == 0 {
			patch = fmt.Sprintf(`{"status":{"images":[{"names":["evil.example.com/a:%d"]}]}}`, i)
		}
		sender.MustSend(t, suite.PatchNodeStatus(down, patch))
	}
	report := &replays.Report{}
	suite.Check(t, json.Unmarshal(c.run(t, 1, "--failed-open", "--list", "--node", down, "--complete", "--clock-skew", "0", "-o", "json"), report))
	if report.Denied != 4 || report.Unknown != 0 {
		t.Errorf("%d writes would be denied and %d are unknown, want 4 and 0", report.Denied, report.Unknown)
	}
	for i := range report.Items {
		if v := report.Items[i].Violations; len(v) != 1 || v[0].Rule != string(policy.RuleID("node-images")) || v[0].Policy != "site" {
			t.Errorf("%+v: want a violation of site/node-images", report.Items[i])
		}
	}
}

// run runs the command as a user types it, and returns what it prints.
func (c *cluster) run(t *testing.T, want int, args ...string) []byte {
	t.Helper()
	cmd := command.Plugin(command.ByKubectl, replays.Command())
	var out, errs bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	all := []string{"replay", "--audit-log", c.ControlPlane.APIServer.AuditLog}
	for _, file := range c.files {
		all = append(all, "--policy", file)
	}
	cmd.SetArgs(append(all, args...))
	if code := command.ExitCode(cmd.ExecuteContext(t.Context())); code != want {
		t.Fatalf("exit code %d, want %d: %s\n%s", code, want, errs.String(), out.String())
	}
	return out.Bytes()
}
