// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package follow_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/e2e/kubelet"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/suite"
)

const (
	worker, gpu, pci, genuine = "worker", "gpu-1", "pci-1", "genuine"
	victim                    = "victim" // a pod on the worker
)

// policies returns policies other than the presets. The last ones deny nothing, or only what the webhook itself must evaluate.
func policies() []string {
	return []string{
		policyOf("labels", "Deny", `nodes: {labels: {registration: {denied: [example.com/pci]}, update: {allowed: [example.com/rack]}}}`),
		policyOf("taints", "Deny",
			`match: {nodeNames: ["dedicated-*"]}, nodes: {taints: {required: [{key: example.com/dedicated, effect: NoSchedule}]}}`),
		policyOf("capacity", "Deny", `nodes: {capacity: {max: {cpu: "512", pods: "1000"}}}`),
		policyOf("addresses", "Deny", `match: {excludeNodeNames: [genuine]}, nodes: {addresses: {allowedCIDRs: [10.0.0.0/8]}}`),
		policyOf("conditions", "Deny", `nodes: {conditions: {allowed: [KernelDeadlock]}}`),
		policyOf("pod-ips", "Deny", `match: {nodeNames: [worker]}, pods: {ips: {podIPs: {allowedCIDRs: [10.0.0.0/8]}}}`),
		policyOf("by-name", "Deny", `match: {nodeNames: ["gpu-*"]}, nodes: {capacity: {max: {cpu: "64"}}}`),
		policyOf("by-label", "Deny",
			`match: {nodeSelector: {matchLabels: {node-restriction.kubernetes.io/pool: pci}}}, nodes: {addresses: {allowedCIDRs: [10.9.0.0/16]}}`),
		policyOf("by-label-pods", "Deny",
			`match: {nodeSelector: {matchLabels: {node-restriction.kubernetes.io/pool: pci}}}, pods: {phase: {}}`),
		policyOf("dear", "Deny", `match: {excludeNodeNames: [genuine]}, nodes: {images: {maxCount: 200, allowedRepositories: [`+dearPatterns()+`]}}`),
		policyOf("audit", "Audit", `match: {nodeNames: [worker]}, nodes: {capacity: {max: {cpu: "16"}}}`),
	}
}

// dearPatterns are patterns that cost an API server more than it spends on an expression.
func dearPatterns() string {
	patterns := []string{`"*.example.com/*"`}
	for i := range 60 {
		patterns = append(patterns, fmt.Sprintf(`"registry-%d*.example.com/*/team-%d-*/*"`, i, i))
	}
	return strings.Join(patterns, ", ")
}

// gatedPolicies have the condition Complete: CEL expresses all of their rules.
func gatedPolicies() []string {
	return []string{"taints", "capacity", "addresses", "conditions", "by-name"}
}

// attack is a write that violates a list of a policy, with a twin that violates nothing. The numbers make each write change something.
type attack struct {
	policy      string
	node        string
	write, twin func(n int) suite.Request
}

func attacks() []attack {
	status := func(node, format string) func(int) suite.Request {
		return func(n int) suite.Request {
			return suite.PatchNodeStatus(node, strings.ReplaceAll(format, "<n>", fmt.Sprint(n)))
		}
	}
	pod := func(format string) func(int) suite.Request {
		return func(n int) suite.Request {
			return suite.PatchStatus(suite.PodsPath+"/"+victim, strings.ReplaceAll(format, "<n>", fmt.Sprint(n)))
		}
	}
	conditions := func(kind string) func(int) suite.Request {
		return func(n int) suite.Request {
			return suite.Strategic(suite.PatchNodeStatus(worker,
				fmt.Sprintf(`{"status":{"conditions":[{"type":%q,"status":"True","reason":"r%d"}]}}`, kind, n)))
		}
	}
	return []attack{
		{
			"capacity", worker, status(worker, `{"status":{"capacity":{"cpu":"6<n>"}}}`),
			status(worker, `{"status":{"capacity":{"memory":"<n>Gi"}}}`),
		},
		{
			"addresses", worker, status(worker, `{"status":{"addresses":[{"type":"InternalIP","address":"192.168.66.<n>"}]}}`),
			status(worker, `{"status":{"addresses":[{"type":"InternalIP","address":"10.1.66.<n>"}]}}`),
		},
		// A condition that only a site's policy allows goes to the gate in any case: no stock kubelet writes it.
		{"conditions", worker, conditions("Evil"), conditions("MemoryPressure")},
		{
			"pod-ips", worker, pod(`{"status":{"podIP":"192.168.66.<n>","podIPs":[{"ip":"192.168.66.<n>"}]}}`),
			pod(`{"status":{"podIP":"10.1.66.<n>","podIPs":[{"ip":"10.1.66.<n>"}]}}`),
		},
		{
			"by-name", gpu, status(gpu, `{"status":{"capacity":{"cpu":"1<n>"}}}`), status(gpu, `{"status":{"capacity":{"memory":"<n>Gi"}}}`),
		},
		{
			"by-label", pci, status(pci, `{"status":{"addresses":[{"type":"InternalIP","address":"10.8.66.<n>"}]}}`),
			status(pci, `{"status":{"addresses":[{"type":"InternalIP","address":"10.9.66.<n>"}]}}`),
		},
	}
}

// registrations that the API server itself must deny, each with its twin.
func registrations() []attack {
	registers := func(node string, labels map[string]string) func(int) suite.Request {
		return func(int) suite.Request { return suite.RegisterNode(node, labels) }
	}
	dedicated := func(int) suite.Request {
		return suite.Create(suite.NodesPath, `{"apiVersion":"v1","kind":"Node","metadata":{"name":"dedicated-1"},`+
			`"spec":{"taints":[{"key":"example.com/dedicated","effect":"NoSchedule"}]}}`)
	}
	return []attack{
		{
			"labels", "newcomer", registers("newcomer", map[string]string{"example.com/pci": ""}),
			registers("newcomer", map[string]string{"kubernetes.io/os": "linux"}),
		},
		{"taints", "dedicated-1", registers("dedicated-1", nil), dedicated},
	}
}

func TestFollow(t *testing.T) {
	s := newSetup(t)
	k := s.MustStartKubelet(t, kubelet.Options{Node: genuine, Heartbeat: time.Second})
	suite.Check(t, k.AwaitReady(t.Context(), s.Admin, time.Now()))
	for _, node := range []string{worker, gpu, pci} {
		s.CreateNode(t, node)
	}
	_, err := s.Admin.CoreV1().Nodes().Patch(t.Context(), pci, types.MergePatchType,
		[]byte(`{"metadata":{"labels":{"node-restriction.kubernetes.io/pool":"pci"}}}`), metav1.PatchOptions{})
	suite.Check(t, err)
	_, err = s.Admin.CoreV1().Pods(metav1.NamespaceDefault).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: victim}, Spec: corev1.PodSpec{
			NodeName: worker, Containers: []corev1.Container{{Name: "c", Image: "c"}},
			Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
		},
	}, metav1.CreateOptions{})
	suite.Check(t, err)

	s.apply(t, policies()...)
	s.awaitConditions(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"what violates nothing is not sent", func(t *testing.T) { s.testTwins(t, k) }},
		{"attacks while nothing answers", func(t *testing.T) { s.testOutage(t, k) }},
		{"every denial is recorded", s.testRecords},
		{"somebody bends the conditions", s.testBent},
		{"a policy is deleted", s.testDeletedPolicy},
		{"the permission is lost", s.testPermission},
		{"helm upgrade", s.testUpgrade},
		{"it is turned off", s.testOff},
	} {
		t.Run(test.name, test.run)
	}
}

// awaitConditions waits until each policy says how it is gated.
func (s *setup) awaitConditions(t *testing.T) {
	t.Helper()
	for _, name := range gatedPolicies() {
		s.awaitGated(t, name, metav1.ConditionTrue, "Complete", "refused while no replica answers")
	}
	s.awaitGated(t, "by-label", metav1.ConditionTrue, "Partial", "node-addresses")
	s.awaitGated(t, "by-label-pods", metav1.ConditionFalse, "Refused", "pod-phase")
	s.awaitGated(t, "dear", metav1.ConditionFalse, "Refused", "node-images")
	s.awaitGated(t, "audit", metav1.ConditionFalse, "NotDenying", "denies nothing")
	suite.Eventually(t, recovery, func() error {
		if s.metric(t, current) != 1 {
			return errors.New("the conditions are not current")
		}
		return nil
	})
	s.checkWiring(t)
	for i, a := range attacks() {
		s.awaitOutcome(t, suite.Kubelet(t, s.ControlPlane.APIServer, a.node), a.write(70+i), suite.Denied)
	}
}

// checkWiring waits for two comparisons, which must find no difference.
func (s *setup) checkWiring(t *testing.T) {
	t.Helper()
	suite.Sleep(t.Context(), 2500*time.Millisecond)
	if n := s.metric(t, wiring); n != 0 {
		t.Errorf("the wiring check finds %v differences", n)
	}
}

// testTwins sends writes that violate no policy, and lets a kubelet run.
func (s *setup) testTwins(t *testing.T, k *kubelet.Kubelet) {
	s.startPod(t, k, "before")
	before := s.allowed(t)
	for _, a := range attacks() {
		suite.Kubelet(t, s.ControlPlane.APIServer, a.node).MustSend(t, a.twin(1))
	}
	suite.Check(t, k.AwaitReady(t.Context(), s.Admin, time.Now()))
	if n := s.allowed(t) - before; n != 0 {
		t.Errorf("%v writes were sent that violate nothing", n)
	}
	// Each change of what a policy reads that is too expensive is sent.
	suite.Kubelet(t, s.ControlPlane.APIServer, worker).MustSend(t,
		suite.PatchNodeStatus(worker, `{"status":{"images":[{"names":["registry.example.com/x:1"],"sizeBytes":1}]}}`))
	if n := s.allowed(t) - before; n != 1 {
		t.Errorf("a change of images is %v calls", n)
	}
}

// startPod has the kubelet run a static pod, whose mirror pod is not created while nothing answers, and waits for heartbeats.
func (s *setup) startPod(t *testing.T, k *kubelet.Kubelet, name string) {
	t.Helper()
	pod := suite.JSON(t, corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "kube-system"},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: kubelet.Stays}}},
	})
	suite.Check(t, k.AddStaticPod(name, pod))
	s.AwaitPod(t, recovery, "kube-system", name+"-"+genuine, suite.Running)
}

// testOutage sends everything while nothing answers.
func (s *setup) testOutage(t *testing.T, k *kubelet.Kubelet) {
	s.stop(t)
	defer s.start(t)
	for i, a := range attacks() {
		c := suite.Kubelet(t, s.ControlPlane.APIServer, a.node)
		if got := c.Send(t, a.write(10+i)); got.Outcome != suite.Unanswered {
			t.Errorf("%s: want it to be refused, got %s", a.policy, got)
		}
		if got := c.Send(t, a.twin(10+i)); got.Outcome != suite.Allowed {
			t.Errorf("%s: what violates nothing: %s", a.policy, got)
		}
	}
	for _, r := range registrations() {
		c := suite.Kubelet(t, s.ControlPlane.APIServer, r.node)
		got := c.Send(t, r.write(0))
		if got.Outcome != suite.Floor || !strings.Contains(got.Text, `violates NodeRestrictionPolicy "`+r.policy+`"`) {
			t.Errorf("%s: want a denial by the floor, got %s", r.policy, got)
		}
		if got := c.Send(t, r.twin(0)); got.Outcome != suite.Allowed {
			t.Errorf("%s: a registration that violates nothing: %s", r.policy, got)
		}
	}
	passes := map[string]suite.Request{
		"a violation of a policy that only records": suite.PatchNodeStatus(worker, `{"status":{"capacity":{"cpu":"17"}}}`),
		"another node than those that match":        suite.PatchNodeStatus(worker, `{"status":{"capacity":{"cpu":"100"}}}`),
		"a node without the label":                  suite.PatchNodeStatus(worker, `{"status":{"addresses":[{"type":"InternalIP","address":"10.8.66.9"}]}}`),
		"a policy that is too expensive":            suite.PatchNodeStatus(gpu, `{"status":{"images":[{"names":["evil.test/x:1"],"sizeBytes":1}]}}`),
	}
	for name, r := range passes {
		node := strings.TrimPrefix(r.Path, suite.NodesPath+"/")
		node, _, _ = strings.Cut(node, "/")
		if got := suite.Kubelet(t, s.ControlPlane.APIServer, node).Send(t, r); got.Outcome != suite.Allowed {
			t.Errorf("%s: %s", name, got)
		}
	}
	began := time.Now()
	suite.Check(t, k.Restart())
	suite.Check(t, k.AwaitReady(suite.Within(t, recovery), s.Admin, began))
}

// testRecords sends the attacks while the product answers.
func (s *setup) testRecords(t *testing.T) {
	for i, a := range attacks() {
		before, err := s.product.Records.Len()
		suite.Check(t, err)
		got := suite.Kubelet(t, s.ControlPlane.APIServer, a.node).Send(t, a.write(30+i))
		if webhook, message := got.DeniedBy(); webhook != "gate.noderestriction.plus" || !strings.Contains(message, `"`+a.policy+`"`) {
			t.Errorf("%s: %s", a.policy, got)
		}
		s.checkRecord(t, before, a.policy, "Deny")
	}
	before, err := s.product.Records.Len()
	suite.Check(t, err)
	suite.Kubelet(t, s.ControlPlane.APIServer, worker).MustSend(t, suite.PatchNodeStatus(worker, `{"status":{"capacity":{"cpu":"101"}}}`))
	s.checkRecord(t, before, "audit", "Audit")
}

// checkRecord checks that one record of the policy, apart from those of probes, is new.
func (s *setup) checkRecord(t *testing.T, before int, policy, action string) {
	t.Helper()
	lines, err := s.product.Records.Since(before)
	suite.Check(t, err)
	found := 0
	for i := range lines {
		if strings.Contains(lines[i].Text, `"policy":"`+policy+`"`) {
			found++
		}
	}
	if found != 1 {
		t.Errorf("policy %s, %s: there are %d new records", policy, action, found)
	}
}

// testBent changes match conditions and the floor, as with kubectl edit.
func (s *setup) testBent(t *testing.T) {
	want, wantFloor := s.conditions(t, "gate"), s.followed(t).Spec
	for _, bend := range []struct {
		what string
		do   func() error
	}{
		{"the gate never matches", func() error {
			return s.ChangeWebhooks(t.Context(), func(w *admissionregistrationv1.ValidatingWebhook) {
				if w.Name == "gate.noderestriction.plus" {
					w.MatchConditions[len(w.MatchConditions)-1].Expression = "false"
				}
			})
		}},
		{"the floor denies nothing", func() error {
			_, err := s.Admin.AdmissionregistrationV1().ValidatingAdmissionPolicies().Patch(t.Context(), floor, types.MergePatchType,
				[]byte(`{"spec":{"validations":[{"expression":"true"}]}}`), metav1.PatchOptions{FieldManager: "somebody"})
			return err
		}},
	} {
		before := s.metric(t, writes, "reason", "changed")
		suite.Check(t, bend.do())
		suite.Eventually(t, recovery, func() error {
			have, floor := s.conditions(t, "gate"), s.followed(t).Spec
			if have != want || len(floor.Validations) != len(wantFloor.Validations) {
				return fmt.Errorf("%s: it was not restored", bend.what)
			}
			return nil
		})
		suite.Eventually(t, recovery, func() error {
			if n := s.metric(t, writes, "reason", "changed") - before; n != 1 {
				return fmt.Errorf("%s: %v changes by others are counted", bend.what, n)
			}
			return nil
		})
	}
	suite.Eventually(t, recovery, func() error {
		events, err := s.Admin.EventsV1().Events(metav1.NamespaceDefault).List(t.Context(), metav1.ListOptions{})
		suite.Check(t, err)
		found := map[string]bool{}
		for i := range events.Items {
			if e := &events.Items[i]; e.Reason == "ConditionsRestored" {
				found[e.Regarding.Kind+" "+e.Regarding.Name] = true
			}
		}
		if !found["ValidatingWebhookConfiguration "+product.Name] || !found["ValidatingAdmissionPolicy "+floor] {
			return fmt.Errorf("there are Events on %v", found)
		}
		return nil
	})
	s.checkWiring(t)
}

// testDeletedPolicy deletes a policy, and makes another one stricter.
func (s *setup) testDeletedPolicy(t *testing.T) {
	c := suite.Kubelet(t, s.ControlPlane.APIServer, worker)
	suite.Check(t, s.Policies.Delete(t.Context(), &v1alpha1.NodeRestrictionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "addresses"}}))
	s.apply(t, policyOf("capacity", "Deny", `nodes: {capacity: {max: {cpu: "256"}}}`))
	s.awaitGated(t, "capacity", metav1.ConditionTrue, "Complete", "")
	address := attacks()[1].write(50)
	s.awaitOutcome(t, c, address, suite.Allowed)
	stricter := suite.PatchNodeStatus(worker, `{"status":{"capacity":{"cpu":"300"}}}`)
	s.awaitOutcome(t, c, stricter, suite.Denied)
	s.stop(t)
	defer s.start(t)
	if got := c.Send(t, address); got.Outcome != suite.Allowed {
		t.Errorf("what the deleted policy denied: %s", got)
	}
	if got := c.Send(t, stricter); got.Outcome != suite.Unanswered {
		t.Errorf("what the stricter policy denies: %s", got)
	}
}

// testPermission takes the permission to patch.
func (s *setup) testPermission(t *testing.T) {
	roles := s.Admin.RbacV1().ClusterRoles()
	role, err := roles.Get(t.Context(), product.Name, metav1.GetOptions{})
	suite.Check(t, err)
	before := role.DeepCopy().Rules
	for i := range role.Rules {
		var verbs []string
		for _, verb := range role.Rules[i].Verbs {
			if verb != "patch" || role.Rules[i].APIGroups[0] != admissionregistrationv1.GroupName {
				verbs = append(verbs, verb)
			}
		}
		role.Rules[i].Verbs = verbs
	}
	role, err = roles.Update(t.Context(), role, metav1.UpdateOptions{FieldManager: "helm"})
	suite.Check(t, err)
	s.apply(t, policyOf("capacity", "Deny", `nodes: {capacity: {max: {cpu: "128"}}}`))
	s.awaitGated(t, "capacity", metav1.ConditionFalse, "Outdated", "forbidden")
	if s.metric(t, current) != 0 || s.metric(t, "node_restriction_plus_conditions_write_errors_total") == 0 {
		t.Error("the metrics do not say so")
	}
	role.Rules = before
	_, err = roles.Update(t.Context(), role, metav1.UpdateOptions{FieldManager: "helm"})
	suite.Check(t, err)
	s.awaitGated(t, "capacity", metav1.ConditionTrue, "Complete", "")
}

// testUpgrade upgrades the release with other values, as soon as the program has written conditions. It must not end with a conflict, and
// the conditions are the program's again.
func (s *setup) testUpgrade(t *testing.T) {
	before := s.metric(t, writes, "reason", "chart")
	gate := s.conditions(t, "gate")
	s.apply(t, policyOf("capacity", "Deny", `nodes: {capacity: {max: {cpu: "96"}}}`))
	suite.Eventually(t, recovery, func() error {
		if s.conditions(t, "gate") == gate {
			return errors.New("the conditions are still those of the earlier policy")
		}
		return nil
	})
	s.upgrade(t, s.product.URL, "webhook.timeoutSeconds.gate=3", "rules.events=true")
	worker := suite.Kubelet(t, s.ControlPlane.APIServer, worker)
	suite.Eventually(t, recovery, func() error {
		if n := s.metric(t, writes, "reason", "chart") - before; n == 0 {
			return errors.New("the conditions of the chart were not replaced")
		}
		if s.metric(t, current) != 1 {
			return errors.New("the conditions are not current")
		}
		return nil
	})
	for _, w := range s.Webhooks(t).Webhooks {
		if w.Name == "gate.noderestriction.plus" && *w.TimeoutSeconds != 3 {
			t.Errorf("the upgrade did not change the timeout: %d", *w.TimeoutSeconds)
		}
	}
	s.awaitOutcome(t, worker, attacks()[0].write(60), suite.Denied)
	s.checkWiring(t)
}

// testOff turns the value off while the program still runs.
func (s *setup) testOff(t *testing.T) {
	// The test has changed the ClusterRole.
	s.upgrade(t, s.product.URL, "--force-conflicts", "webhook.followPolicies=false")
	want := s.conditions(t, "gate")
	if strings.Contains(want, "KernelDeadlock") {
		t.Error("the conditions are still those of the policies")
	}
	suite.Sleep(t.Context(), 5*time.Second) // several times settle and the least time between writes
	if have := s.conditions(t, "gate"); have != want {
		t.Error("the program has replaced the conditions of the chart")
	}
	var installed struct {
		Webhooks []struct {
			Name            string
			MatchConditions []json.RawMessage
		}
	}
	suite.Check(t, json.Unmarshal([]byte(s.Webhooks(t).Annotations["noderestriction.plus/installed"]), &installed))
	for _, w := range s.Webhooks(t).Webhooks {
		for _, i := range installed.Webhooks {
			if i.Name == w.Name && len(i.MatchConditions) != len(w.MatchConditions) {
				t.Errorf("%s has %d match conditions, not %d", w.Name, len(w.MatchConditions), len(i.MatchConditions))
			}
		}
	}
	s.args = []string{"--wiring-check-configuration=" + product.Name, "--wiring-check-interval=1s"}
	s.stop(t)
	s.start(t)
	suite.Eventually(t, recovery, func() error {
		p := &v1alpha1.NodeRestrictionPolicy{}
		suite.Check(t, s.Policies.Get(t.Context(), client.ObjectKey{Name: "capacity"}, p))
		if meta.FindStatusCondition(p.Status.Conditions, "Gated") != nil {
			return errors.New("the policy still has the condition Gated")
		}
		if meta.FindStatusCondition(p.Status.Conditions, "Ready") == nil {
			t.Fatal("the policy has lost another condition")
		}
		return nil
	})
	s.checkWiring(t)
}
