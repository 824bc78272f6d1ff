// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package agents_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/e2e/suite"
)

const (
	ofNode1      = `node agent "kube-system/aws-node" on "worker-1" violates NodeRestrictionPolicy "node-agents": `
	withoutNode  = `node agent "kube-system/aws-node" violates NodeRestrictionPolicy "node-agents": without node`
	otherNode    = ofNode1 + `node self (must not write Node "worker-2")`
	otherPod     = ofNode1 + `pod self (must not write a pod that is not on this node)`
	systemPods   = "/api/v1/namespaces/kube-system/pods"
	annotatesPod = `{"metadata":{"annotations":{"example.com/a":"1"}}}`
)

func TestAgents(t *testing.T) {
	s := newSetup(t)
	s.enforce(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T)
	}{
		// After 10 equal denials, a record is brief, so these are first.
		{"records name the account", s.testRecords},
		{"an agent impersonates the kubelet of its node", s.testImpersonatesKubelet},
		{"each way of writing", s.testWrites},
		{"each credential", s.testCredentials},
		{"resource slices", s.testSlices},
		{"a Node is created again", s.testNewNode},
		{"policies say whether their subjects are sent", s.testSent},
		{"nothing answers", s.testDown},
	} {
		t.Run(test.name, test.run)
	}
}

// attempt is a write and how it is answered.
type attempt struct {
	write   suite.Request
	outcome suite.Outcome
	message string // part of it, if the write is denied
}

func (a *attempt) check(t *testing.T, name string, c *suite.Client) {
	t.Helper()
	answer := c.Send(t, a.write)
	if answer.Outcome != a.outcome || !strings.Contains(answer.Text, a.message) {
		t.Errorf("%s: want %s (%s), got %s", name, a.outcome, a.message, answer)
	}
	if a.outcome == suite.Denied {
		if webhook, _ := answer.DeniedBy(); webhook != "agents.noderestriction.plus" {
			t.Errorf("%s: it was denied by %q", name, webhook)
		}
	}
}

// dry makes a write a dry run, which leaves what the next ones need.
func dry(r suite.Request) suite.Request {
	r.DryRun = true
	return r
}

// testWrites writes as an agent does whose token is bound to its pod.
func (s *setup) testWrites(t *testing.T) {
	agent := s.bound(t, named, worker1)
	pod := func(node string) string { return suite.PodsPath + "/victim-" + node }
	patch := func(path string) suite.Request {
		return suite.Request{Method: "PATCH", Path: path, Type: suite.MergePatch, Body: annotatesPod}
	}
	ready := `{"status":{"conditions":[{"type":"example.com/a","status":"True"}]}}`
	debug := func(node string) suite.Request {
		return suite.Request{
			Method: "PATCH", Path: pod(node) + "/ephemeralcontainers", Type: suite.StrategicPatch,
			Body: `{"spec":{"ephemeralContainers":[{"name":"debug","image":"c"}]}}`,
		}
	}
	collection := func(node string) suite.Request {
		return suite.Request{Method: "DELETE", Path: "/api/v1/nodes", Query: "fieldSelector=metadata.name%3D" + node, Type: suite.JSONType}
	}
	for name, test := range map[string]attempt{
		"its own Node":                    {label(worker1), suite.Allowed, ""},
		"another Node":                    {label(worker2), suite.Denied, otherNode},
		"the status of its own Node":      {suite.PatchNodeStatus(worker1, annotatesPod), suite.Allowed, ""},
		"the status of another Node":      {suite.PatchNodeStatus(worker2, annotatesPod), suite.Denied, otherNode},
		"the deletion of another Node":    {suite.Delete("/api/v1/nodes/"+worker2, ""), suite.Denied, otherNode},
		"a Node of another name":          {suite.RegisterNode("worker-3", nil), suite.Denied, `must not write Node "worker-3"`},
		"a pod on its node":               {patch(pod(worker1)), suite.Allowed, ""},
		"a pod on another node":           {patch(pod(worker2)), suite.Denied, otherPod},
		"the status of a pod on its node": {suite.PatchStatus(pod(worker1), ready), suite.Allowed, ""},
		"the status of another's pod":     {suite.PatchStatus(pod(worker2), ready), suite.Denied, otherPod},
		"the deletion of a pod":           {dry(suite.Delete(pod(worker1), "")), suite.Allowed, ""},
		"the deletion of another's pod":   {suite.Delete(pod(worker2), ""), suite.Denied, otherPod},
		"the eviction of a pod":           {dry(suite.Evict("victim-" + worker1)), suite.Allowed, ""},
		"the eviction of another's pod":   {suite.Evict("victim-" + worker2), suite.Denied, otherPod},
		"a container in a pod":            {dry(debug(worker1)), suite.Allowed, ""},
		"a container in another's pod":    {debug(worker2), suite.Denied, otherPod},
		"a collection of other Nodes":     {collection(worker2), suite.Denied, otherNode},
		"the pod of another agent":        {patch(systemPods + "/" + named + "-" + worker2), suite.Denied, otherPod},
	} {
		test.check(t, name, agent)
	}
}

// testCredentials writes two Nodes with every credential of an agent, and with those of others.
func (s *setup) testCredentials(t *testing.T) {
	const allowed, denied = suite.Allowed, suite.Denied
	kubelet := suite.Kubelet(t, s.ControlPlane.APIServer, worker1)
	const ovn = `node agent "system:ovn-node:worker-1" on "worker-1" violates NodeRestrictionPolicy "node-agents": node self`
	for name, test := range map[string]struct {
		client     *suite.Client
		own, other suite.Outcome
		message    string
	}{
		"a token bound to the pod":             {s.bound(t, named, worker1), allowed, denied, otherNode},
		"a token that is bound to nothing":     {s.unbound(t, named), denied, denied, withoutNode},
		"a token in a Secret":                  {s.inSecret(t, named), denied, denied, withoutNode},
		"impersonation with one node":          {s.impersonated(t, named, worker1), allowed, denied, otherNode},
		"impersonation with two nodes":         {s.impersonated(t, named, worker1, worker2), denied, denied, withoutNode},
		"impersonation with the same twice":    {s.impersonated(t, named, worker1, worker1), denied, denied, withoutNode},
		"impersonation with an empty node":     {s.impersonated(t, named, ""), denied, denied, withoutNode},
		"impersonation without a node":         {s.impersonated(t, named), denied, denied, withoutNode},
		"the certificate of a prefix":          {s.withCertificate(t, "system:ovn-node:worker-1"), allowed, denied, ovn},
		"a bound token of a lenient policy":    {s.bound(t, lenient, worker1), allowed, denied, `NodeRestrictionPolicy "lenient": node self`},
		"an unbound token of a lenient policy": {s.unbound(t, lenient), allowed, allowed, ""},
		"an account that no policy names":      {s.bound(t, other, worker1), allowed, allowed, ""},
		"an account that is not sent":          {s.bound(t, unsent, worker1), allowed, allowed, ""},
		"an administrator":                     {suite.Admin(t, s.ControlPlane.APIServer), allowed, allowed, ""},
	} {
		own := attempt{label(worker1), test.own, ""}
		if test.own == denied {
			own.message = test.message
		}
		own.check(t, name+", its own Node", test.client)
		another := attempt{label(worker2), test.other, test.message}
		another.check(t, name+", another Node", test.client)
	}
	// What kubelets write goes where it always went.
	answer := kubelet.Send(t, suite.AddFinalizer(worker1))
	if webhook, message := answer.DeniedBy(); webhook != "gate.noderestriction.plus" || !strings.Contains(message, `"kubelets"`) {
		t.Errorf("a kubelet's finalizer: %s", answer)
	}
	if answer := kubelet.Send(t, suite.Heartbeat(worker1, time.Now())); answer.Outcome != suite.Allowed {
		t.Errorf("a kubelet's heartbeat: %s", answer)
	}
}

// testSlices writes the ResourceSlices of two nodes, as a DRA driver does.
func (s *setup) testSlices(t *testing.T) {
	agent, administrator := s.bound(t, named, worker1), suite.Admin(t, s.ControlPlane.APIServer)
	administrator.MustSend(t, suite.Create(slicesPath, sliceOf("foreign", worker2)))
	change := func(name string) suite.Request {
		return suite.Request{
			Method: "PATCH", Path: slicesPath + "/" + name, Type: suite.MergePatch, Body: `{"spec":{"pool":{"generation":2}}}`,
		}
	}
	for _, step := range []struct {
		name string
		attempt
	}{
		{"a slice of its node", attempt{suite.Create(slicesPath, sliceOf("own", worker1)), suite.Allowed, ""}},
		{"a slice of another node", attempt{suite.Create(slicesPath, sliceOf("a", worker2)), suite.Denied, ofNode1}},
		{"a change of its slice", attempt{change("own"), suite.Allowed, ""}},
		{"a change of another's slice", attempt{change("foreign"), suite.Denied, ofNode1}},
		{"the deletion of another's slice", attempt{suite.Delete(slicesPath+"/foreign", ""), suite.Denied, ofNode1}},
		{"the deletion of its slice", attempt{suite.Delete(slicesPath+"/own", ""), suite.Allowed, ""}},
	} {
		step.check(t, step.name, agent)
	}
}

// testRecords compares records with what was written.
func (s *setup) testRecords(t *testing.T) {
	before := s.mark(t)
	s.bound(t, named, worker1).Send(t, label(worker2))
	s.unbound(t, named).Send(t, label(worker1))
	s.withCertificate(t, "system:ovn-node:worker-1").Send(t, label(worker2))
	s.unbound(t, lenient).Send(t, label(worker1))
	s.bound(t, other, worker1).Send(t, label(worker2))
	s.bound(t, named, worker1).Send(t, label(worker1))
	records := s.recordsSince(t, before)
	const user = "system:serviceaccount:kube-system:"
	want := []string{
		"denied serviceAccount kube-system/aws-node worker-1 " + user + "aws-node [node-agents node-self Deny]",
		"denied serviceAccount kube-system/aws-node  " + user + "aws-node [node-agents without-node Deny]",
		"denied prefix system:ovn-node:worker-1 worker-1 system:ovn-node:worker-1 [node-agents node-self Deny]",
		"audited serviceAccount kube-system/lenient  " + user + "lenient [lenient without-node Audit]",
	}
	var got []string
	for _, r := range records {
		var violations []string
		for _, v := range r.Violations {
			violations = append(violations, v.Policy+" "+v.Rule+" "+v.Action)
		}
		got = append(got, fmt.Sprintf("%s %s %s %s %s %v", r.Msg, r.Subject, r.Account, r.Node, r.User, violations))
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the records are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// testNewNode replaces a Node by another of the same name, whose UID is not that in the token.
func (s *setup) testNewNode(t *testing.T) {
	agent := s.bound(t, named, worker1)
	before := s.GetNode(t, worker1).UID
	suite.Check(t, s.Admin.CoreV1().Nodes().Delete(t.Context(), worker1, metav1.DeleteOptions{}))
	s.CreateNode(t, worker1)
	if s.GetNode(t, worker1).UID == before {
		t.Fatal("it is the same Node")
	}
	own, another := attempt{label(worker1), suite.Allowed, ""}, attempt{label(worker2), suite.Denied, otherNode}
	own.check(t, "the new Node", agent)
	another.check(t, "another Node", agent)
}

// testImpersonatesKubelet impersonates the kubelet of the agent's node, which API servers allow to a token that is bound there: the policies
// for kubelets hold, and those for agents do not.
func (s *setup) testImpersonatesKubelet(t *testing.T) {
	admin, err := s.ControlPlane.Admin()
	suite.Check(t, err)
	as := func(node string) *suite.Client {
		c, err := suite.NewClient(&rest.Config{
			Host: admin.Host, QPS: -1, BearerToken: s.boundToken(t, named, worker1),
			TLSClientConfig: rest.TLSClientConfig{CAData: admin.CAData},
			Impersonate:     rest.ImpersonationConfig{UserName: "system:node:" + node},
		})
		suite.Check(t, err)
		return c
	}
	before := s.mark(t)
	answer := as(worker1).Send(t, suite.AddFinalizer(worker1))
	if webhook, message := answer.DeniedBy(); webhook != "gate.noderestriction.plus" ||
		!strings.HasPrefix(message, `node "worker-1" violates NodeRestrictionPolicy "kubelets": node finalizers`) {
		t.Errorf("a finalizer of the agent as its kubelet: %s", answer)
	}
	records := s.recordsSince(t, before)
	if len(records) != 1 || records[0].Account != "" || records[0].Node != worker1 || records[0].User != "system:node:worker-1" {
		t.Errorf("the records are %+v", records)
	}
	if answer := as(worker2).Send(t, suite.AddFinalizer(worker2)); answer.Outcome != suite.Refused || answer.Code != 403 {
		t.Errorf("the agent as the kubelet of another node: %s", answer)
	}
}

// sent returns the condition Sent of a policy.
func (s *setup) sent(t *testing.T, name string) (*metav1.Condition, error) {
	t.Helper()
	p := &v1alpha1.NodeRestrictionPolicy{}
	if err := s.Policies.Get(t.Context(), client.ObjectKey{Name: name}, p); err != nil {
		return nil, err
	}
	if p.Status == nil {
		return nil, errNoCondition
	}
	if c := meta.FindStatusCondition(p.Status.Conditions, "Sent"); c != nil {
		return c, nil
	}
	return nil, errNoCondition
}

func (s *setup) awaitSent(t *testing.T, name string, status metav1.ConditionStatus, reason, text string) {
	t.Helper()
	suite.Eventually(t, recovery, func() error {
		c, err := s.sent(t, name)
		if err != nil {
			return err
		}
		if c.Status != status || c.Reason != reason || !strings.Contains(c.Message, text) {
			return fmt.Errorf("the condition of %s is %s, %s: %s", name, c.Status, c.Reason, c.Message)
		}
		return nil
	})
}

// testSent reads the condition of policies that are sent, that are not, and that are for kubelets.
func (s *setup) testSent(t *testing.T) {
	s.awaitSent(t, "node-agents", metav1.ConditionTrue, "Complete", "are sent")
	s.awaitSent(t, "lenient", metav1.ConditionTrue, "Complete", "are sent")
	s.awaitSent(t, "unsent", metav1.ConditionFalse, "NoWebhook", `service account "kube-system/kured"`)
	if c, err := s.sent(t, "kubelets"); err == nil {
		t.Errorf("a policy for kubelets has the condition %+v", c)
	}
	suite.Eventually(t, recovery, func() error {
		if n := s.metric(t, "node_restriction_plus_policies_not_sent", "reason", "no_webhook"); n != 1 {
			return fmt.Errorf("%v policies are not sent", n)
		}
		return nil
	})
	// The enforcement probe reaches the webhook of agents, too.
	suite.Eventually(t, recovery, func() error {
		if n := s.metric(t, "node_restriction_plus_enforcement_probes_total", "webhook", "agents", "result", "denied"); n == 0 {
			return fmt.Errorf("%v probes of the webhook of agents were denied", n)
		}
		return nil
	})
	s.testSentLater(t)
	s.testForgotten(t)
}

// testSentLater names the account of a policy in the value of the chart: its writes are sent then, and not any more when it is taken away.
func (s *setup) testSentLater(t *testing.T) {
	agent := s.bound(t, unsent, worker1)
	s.awaitOutcome(t, agent, label(worker2), suite.Allowed)
	notSent := func(want float64) {
		t.Helper()
		suite.Eventually(t, recovery, func() error {
			if n := s.metric(t, "node_restriction_plus_policies_not_sent", "reason", "no_webhook"); n != want {
				return fmt.Errorf("%v policies are not sent", n)
			}
			return nil
		})
	}
	s.configure(t, "subjects.serviceAccounts[2].namespace=kube-system,subjects.serviceAccounts[2].name="+unsent)
	s.awaitOutcome(t, agent, label(worker2), suite.Denied)
	s.awaitSent(t, "unsent", metav1.ConditionTrue, "Complete", "are sent")
	notSent(0)
	s.configure(t)
	s.awaitOutcome(t, agent, label(worker2), suite.Allowed)
	s.awaitSent(t, "unsent", metav1.ConditionFalse, "NoWebhook", `service account "kube-system/kured"`)
	notSent(1)
}

// testForgotten makes a policy one for kubelets: it loses the condition.
func (s *setup) testForgotten(t *testing.T) {
	suite.Check(t, s.Kubectl.Apply(t.Context(), []byte(`apiVersion: noderestriction.plus/v1alpha1
kind: NodeRestrictionPolicy
metadata: {name: unsent}
spec: {validationActions: [Deny], nodes: {self: {}}}`)))
	suite.Eventually(t, recovery, func() error {
		if c, err := s.sent(t, "unsent"); err == nil {
			return fmt.Errorf("it still has the condition %+v", c)
		}
		if n := s.metric(t, "node_restriction_plus_policies_not_sent", "reason", "no_webhook"); n != 0 {
			return fmt.Errorf("%v policies are not sent", n)
		}
		return nil
	})
}

// testDown stops the product: agents write as before it was installed. With the floor, they still write their own node only.
func (s *setup) testDown(t *testing.T) {
	agent, unbound := s.bound(t, named, worker1), s.unbound(t, named)
	ovn, kubelet := s.withCertificate(t, "system:ovn-node:worker-1"), suite.Kubelet(t, s.ControlPlane.APIServer, worker1)
	suite.Check(t, s.product.Stop())
	victim := func(node string) suite.Request {
		return suite.PatchStatus(suite.PodsPath+"/victim-"+node, annotatesPod)
	}
	for name, test := range map[string]struct {
		client *suite.Client
		write  suite.Request
	}{
		"another Node":             {agent, label(worker2)},
		"a pod on another node":    {agent, victim(worker2)},
		"a token without a node":   {unbound, label(worker2)},
		"the user with a prefix":   {ovn, label(worker2)},
		"a slice of another node":  {agent, dry(suite.Create(slicesPath, sliceOf("b", worker2)))},
		"a kubelet's heartbeat":    {kubelet, suite.Heartbeat(worker1, time.Now())},
		"the deletion of a pod":    {agent, dry(suite.Delete(suite.PodsPath+"/victim-"+worker2, ""))},
		"the eviction of such one": {agent, dry(suite.Evict("victim-" + worker2))},
	} {
		allowed := attempt{test.write, suite.Allowed, ""}
		allowed.check(t, "without the floor, "+name, test.client)
	}

	s.configure(t, "subjects.floor.enabled=true")
	s.awaitOutcome(t, agent, label(worker2), suite.Floor)
	const self, noNode = `a node agent must not write another Node`, `a node agent must use a credential that names its node`
	for name, test := range map[string]struct {
		client *suite.Client
		attempt
	}{
		"its own Node":                    {agent, attempt{label(worker1), suite.Allowed, ""}},
		"another Node":                    {agent, attempt{label(worker2), suite.Floor, self}},
		"the status of its Node":          {agent, attempt{suite.PatchNodeStatus(worker1, annotatesPod), suite.Allowed, ""}},
		"the status of another Node":      {agent, attempt{suite.PatchNodeStatus(worker2, annotatesPod), suite.Floor, self}},
		"a pod on its node":               {agent, attempt{victim(worker1), suite.Allowed, ""}},
		"a pod on another node":           {agent, attempt{victim(worker2), suite.Floor, "not on this node"}},
		"the deletion of a pod":           {agent, attempt{dry(suite.Delete(suite.PodsPath+"/victim-"+worker1, "")), suite.Allowed, ""}},
		"the deletion of another's pod":   {agent, attempt{suite.Delete(suite.PodsPath+"/victim-"+worker2, ""), suite.Floor, "not on this node"}},
		"the eviction of another's pod":   {agent, attempt{dry(suite.Evict("victim-" + worker2)), suite.Allowed, ""}}, // it does not carry the pod
		"a token without a node":          {unbound, attempt{label(worker1), suite.Floor, noNode}},
		"the user with a prefix":          {ovn, attempt{label(worker2), suite.Floor, self}},
		"its own Node, with a prefix":     {ovn, attempt{label(worker1), suite.Allowed, ""}},
		"a slice of its node":             {agent, attempt{dry(suite.Create(slicesPath, sliceOf("c", worker1))), suite.Allowed, ""}},
		"a slice of another node":         {agent, attempt{suite.Create(slicesPath, sliceOf("c", worker2)), suite.Floor, ""}},
		"the deletion of another's slice": {agent, attempt{suite.Delete(slicesPath+"/foreign", ""), suite.Floor, ""}},
		"a kubelet's heartbeat":           {kubelet, attempt{suite.Heartbeat(worker1, time.Now()), suite.Allowed, ""}},
		"an account that is not named":    {s.bound(t, other, worker1), attempt{label(worker2), suite.Allowed, ""}},
	} {
		test.check(t, "with the floor, "+name, test.client)
	}
	suite.Check(t, s.product.Run(t.Context(), s.args...))
}
