// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package detection_test evaluates the detection rules (config/detection) on the audit log of a real API server, and records its
// events for the tests of internal/detection.
package detection_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/internal/detection"
)

var update = flag.Bool("update", false, "record the events again")

const (
	rules    = "../../config/detection"
	recorded = "../../internal/detection/testdata"
	node     = "worker-1"
	kubelet  = "kubelet/v1.37.2 (linux/amd64) kubernetes/0123456"
	other    = "curl/8.5.0"
	policy   = "finalizers"
	webhooks = "validatingwebhookconfigurations"
)

// TestMain discards the log of controller-runtime's client.
func TestMain(m *testing.M) { suite.Main(m) }

func TestRulesOnTheAuditLogOfARealAPIServer(t *testing.T) {
	s := suite.New(t, "detection", controlplane.APIServerOptions{
		Args: []string{"--audit-policy-file=" + suite.AuditPolicyOf(t, "detection.md")},
	})
	happen(t, s)
	falco, sigma := read(t)
	events := parse(t, s.ControlPlane.APIServer.AuditLog)
	for _, c := range detection.Cases() {
		line := find(events, c.Name)
		if line == nil {
			t.Errorf("%s: the audit log has no such event", c.Name)
			continue
		}
		event, err := detection.ParseEvent(line)
		suite.Check(t, err)
		for _, pair := range []struct {
			rules []detection.Rule
			want  string
		}{{falco, c.Falco}, {sigma, c.Sigma}} {
			for _, rule := range pair.rules {
				if got := rule.Matches(event); got != (rule.Name == pair.want) {
					t.Errorf("%s: %q fires: %t\n%s", c.Name, rule.Name, got, line)
				}
			}
		}
		if *update {
			suite.Check(t, os.WriteFile(filepath.Join(recorded, c.Name+".json"), append(line, '\n'), 0o644))
		}
	}
}

// happen makes each event happen that a case is about.
func happen(t *testing.T, s *suite.Suite) {
	t.Helper()
	helm, err := binaries.Helm(t.Context(), t.Output())
	suite.Check(t, err)
	p := s.MustInstall(t, product.Options{Args: []string{"--enforcement-probe", "--enforcement-probe-interval=1s"}})
	suite.Check(t, p.Configure(t.Context(), s.Kubectl, helm, "policies.recommended=Deny"))
	suite.Check(t, product.AwaitReady(t.Context(), s.Policies, "recommended"))
	s.CreateNode(t, node)
	suite.Check(t, product.Enforce(t.Context(), s.Policies, product.DenyFinalizers(policy, node)))
	k := client(t, s, kubelet)

	client(t, s, other).MustSend(t, suite.Request{Method: http.MethodGet, Path: suite.NodesPath + "/" + node})
	want(t, k.Send(t, address("10.0.0.1")), suite.Allowed)
	want(t, k.Send(t, suite.AddFinalizer(node)), suite.Denied)
	suite.Eventually(t, time.Minute, func() error { // the API server notices the floor a moment later
		if a := k.Send(t, register()); a.Outcome != suite.Floor {
			return fmt.Errorf("the floor does not deny it: %s", a)
		}
		return nil
	})
	await(t, s, "policy-status")
	await(t, s, "probe-denied")

	suite.Check(t, p.Stop())
	want(t, k.Send(t, suite.AddFinalizer(node)), suite.Unanswered)
	want(t, k.Send(t, address("10.0.0.2")), suite.Allowed)

	suite.Check(t, p.Run(t.Context(), "--enforcement-probe", "--enforcement-probe-interval=1s"))
	configurations := s.Admin.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	suite.Check(t, s.Reconnect(t.Context()))
	others := s.Webhooks(t)
	others.ObjectMeta = metav1.ObjectMeta{Name: "others"}
	_, err = configurations.Create(t.Context(), others, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	suite.Check(t, err)
	others.Webhooks = nil
	_, err = configurations.Create(t.Context(), others, metav1.CreateOptions{})
	suite.Check(t, err)
	_, err = configurations.Update(t.Context(), s.Webhooks(t), metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
	suite.Check(t, err)
	suite.Check(t, configurations.Delete(t.Context(), product.Name, metav1.DeleteOptions{}))
	await(t, s, "probe-not-denied")
	suite.Check(t, s.Policies.Delete(t.Context(), product.DenyFinalizers(policy)))
	for _, c := range detection.Cases() {
		await(t, s, c.Name)
	}
}

// register is a write that the floor denies if the policy recommended denies.
func register() suite.Request {
	return suite.Create(suite.NodesPath,
		`{"apiVersion":"v1","kind":"Node","metadata":{"name":"`+node+`","finalizers":["example.com/stay"]}}`)
}

func address(ip string) suite.Request {
	return suite.PatchNodeStatus(node, `{"status":{"addresses":[{"type":"InternalIP","address":"`+ip+`"}]}}`)
}

func want(t *testing.T, a suite.Answer, outcome suite.Outcome) {
	t.Helper()
	if a.Outcome != outcome {
		t.Fatalf("want %s, got %s", outcome, a)
	}
}

// client returns a client with the kubelet's credential and a user agent.
func client(t *testing.T, s *suite.Suite, agent string) *suite.Client {
	t.Helper()
	config, err := s.ControlPlane.APIServer.Kubelet(node)
	suite.Check(t, err)
	config.UserAgent = agent
	c, err := suite.NewClient(config)
	suite.Check(t, err)
	return c
}

// event is what is read of an event to find it.
type event struct {
	line             []byte
	Verb, UserAgent  string
	RequestURI       string
	User             struct{ Username string }
	ImpersonatedUser struct{ Username string }
	ObjectRef        struct{ Resource, Subresource, Name string }
	ResponseStatus   struct {
		Code    int
		Message string
	}
	Annotations map[string]string
}

func parse(t *testing.T, path string) []event {
	t.Helper()
	log, err := os.ReadFile(path)
	suite.Check(t, err)
	var events []event
	for line := range bytes.Lines(log) {
		e := event{line: bytes.TrimSpace(line)}
		if json.Unmarshal(line, &e) == nil { // the last line may be half written
			events = append(events, e)
		}
	}
	return events
}

// await waits until the audit log has the event of a case.
func await(t *testing.T, s *suite.Suite, name string) {
	t.Helper()
	suite.Eventually(t, time.Minute, func() error {
		if find(parse(t, s.ControlPlane.APIServer.AuditLog), name) == nil {
			return fmt.Errorf("the audit log has no event %s", name)
		}
		return nil
	})
}

// find returns the first event of a case, or nil.
func find(events []event, name string) []byte {
	for i := range events {
		if e := &events[i]; e.is(name) {
			return e.line
		}
	}
	return nil
}

// passedOver reports whether the API server says that it did not reach a webhook.
func (e *event) passedOver() bool {
	for key := range e.Annotations {
		if strings.HasPrefix(key, "failed-open.validating.webhook.admission.k8s.io/") {
			return true
		}
	}
	return false
}

// is reports whether this is the event of a case, by what was done and not by what the rules read.
func (e *event) is(name string) bool {
	own := e.User.Username == "system:node:"+node && e.UserAgent == kubelet
	write := own && e.Verb == "patch" && e.ObjectRef.Subresource == "status"
	probe := strings.HasSuffix(e.ImpersonatedUser.Username, "-probe")
	wiring := e.ObjectRef.Resource == webhooks && e.ObjectRef.Name == product.Name && e.ResponseStatus.Code < 300
	dryRun := strings.Contains(e.RequestURI, "dryRun")
	onPolicy := e.ObjectRef.Resource == "noderestrictionpolicies" && e.ResponseStatus.Code < 300
	switch name {
	case "allowed":
		return write && e.ResponseStatus.Code == http.StatusOK && !e.passedOver()
	case "denied":
		return write && strings.Contains(e.ResponseStatus.Message, "denied the request")
	case "denied-by-floor":
		return own && e.Verb == "create" && strings.Contains(e.ResponseStatus.Message, "ValidatingAdmissionPolicy")
	case "failed-open":
		return write && e.ResponseStatus.Code == http.StatusOK && e.passedOver()
	case "no-answer":
		return write && e.ResponseStatus.Code == http.StatusInternalServerError
	case "other-client":
		return e.UserAgent == other
	case "other-webhook":
		return e.ObjectRef.Resource == webhooks && e.ObjectRef.Name == "others" && e.Verb == "create" && !dryRun
	case "policy-created":
		return onPolicy && e.Verb == "create" && e.ObjectRef.Name == policy
	case "policy-deleted":
		return onPolicy && e.Verb == "delete"
	case "policy-status":
		return onPolicy && e.ObjectRef.Subresource == "status"
	case "probe-denied":
		return probe && e.ResponseStatus.Code == http.StatusForbidden && strings.Contains(e.ResponseStatus.Message, "denied the request")
	case "probe-not-denied":
		return probe && !strings.Contains(e.ResponseStatus.Message, "denied the request") && e.ResponseStatus.Code < 500
	case "wiring-changed":
		return wiring && e.Verb == "update" && !dryRun
	case "wiring-deleted":
		return wiring && e.Verb == "delete"
	case "wiring-dry-run":
		return wiring && e.Verb == "update" && dryRun
	}
	return false
}

// read reads the rules of both languages.
func read(t *testing.T) (falco, sigma []detection.Rule) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(rules, "falco", "node-restriction-plus.yaml"))
	suite.Check(t, err)
	falco, err = detection.Falco(data)
	suite.Check(t, err)
	paths, err := filepath.Glob(filepath.Join(rules, "sigma", "*.yml"))
	suite.Check(t, err)
	for _, path := range paths {
		data, err := os.ReadFile(path)
		suite.Check(t, err)
		rule, err := detection.Sigma(data)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		sigma = append(sigma, rule)
	}
	return falco, sigma
}
