// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"noderestriction.plus/e2e/kubelet"
	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/policy"
)

// attack is a write that stock Kubernetes allows with a kubelet's credential and that no kubelet sends.
type attack struct {
	name    string
	request suite.Request
}

// testAttacksOf shows that attacks with a kubelet's credential are denied, also in a dry run, and that each denial is recorded: the
// webhook was working when no kubelet was denied anything.
func (s *environment) testAttacksOf(t *testing.T, l *worker) {
	l.runPod(t, l.pod("victim", kubelet.Stays))
	finished := l.pod("finished", kubelet.Exits)
	finished.Spec.RestartPolicy = corev1.RestartPolicyNever
	_, err := s.Admin.CoreV1().Pods(metav1.NamespaceDefault).Create(t.Context(), finished, metav1.CreateOptions{})
	suite.Check(t, err)
	s.AwaitPod(t, stepTimeout, metav1.NamespaceDefault, "finished", func(pod *corev1.Pod) bool {
		return pod != nil && pod.Status.Phase == corev1.PodSucceeded
	})
	s.prepareNode(t, l)
	s.deny(t, l.attacker, l.Node, attacksOnNode(l.Node))
	s.deny(t, l.attacker, l.Node, attacksOnPods("victim", "finished"))
	s.deny(t, l.attacker, l.Node, attacksByMirrorPods(t, l.Node, l.GetNode(t, l.Node).UID))

	const newcomer = "newcomer"
	s.deny(t, suite.Kubelet(t, s.ControlPlane.APIServer, newcomer), newcomer, attacksByRegistration(t, newcomer))
}

// prepareNode changes the Node as an administrator and controllers may.
func (s *environment) prepareNode(t *testing.T, l *worker) {
	t.Helper()
	for subresource, patch := range map[string]string{
		"": `{"metadata":{"labels":{"example.com/pool":"a"},"annotations":{"example.com/note":"a"}},` +
			`"spec":{"unschedulable":false}}`,
		"status": `{"status":{"conditions":[{"type":"NetworkUnavailable","status":"True"},` +
			`{"type":"KernelDeadlock","status":"True"}]}}`,
	} {
		_, err := s.Admin.CoreV1().Nodes().Patch(t.Context(), l.Node, types.StrategicMergePatchType, []byte(patch),
			metav1.PatchOptions{}, subresource)
		suite.Check(t, err)
	}
}

// deny sends attacks, each first in a dry run, and checks that they are denied and recorded.
func (s *environment) deny(t *testing.T, attacker *suite.Client, node string, attacks []attack) {
	for _, attack := range attacks {
		t.Run(attack.name, func(t *testing.T) {
			for _, dryRun := range []bool{true, false} {
				request := attack.request
				request.DryRun = dryRun
				first, err := s.product.Records.Len()
				suite.Check(t, err)
				if a := attacker.Send(t, request); a.Outcome != suite.Denied {
					t.Errorf("dry run %v: want a denial, got %s", dryRun, a)
				}
				records, err := s.product.Records.Since(first)
				suite.Check(t, err)
				if len(records) == 0 {
					t.Errorf("dry run %v: no record", dryRun)
				}
				for _, r := range records {
					if r.Msg != policy.Denied || r.Node != node || r.DryRun != dryRun {
						t.Errorf("dry run %v: want the record of a denial, got %s", dryRun, r.Text)
					}
				}
			}
		})
	}
}

func attacksOnNode(node string) []attack {
	return []attack{
		{"adds a label", suite.PatchNodeStatus(node, `{"metadata":{"labels":{"example.com/dedicated":"gpu"}}}`)},
		{"changes a label", suite.PatchNodeStatus(node, `{"metadata":{"labels":{"example.com/pool":"b"}}}`)},
		{"removes a label", suite.PatchNodeStatus(node, `{"metadata":{"labels":{"example.com/pool":null}}}`)},
		{"adds an annotation", suite.PatchNodeStatus(node, `{"metadata":{"annotations":{"example.com/new":""}}}`)},
		{"changes an annotation", suite.PatchNodeStatus(node, `{"metadata":{"annotations":{"example.com/note":"b"}}}`)},
		{"removes an annotation", suite.PatchNodeStatus(node, `{"metadata":{"annotations":{"example.com/note":null}}}`)},
		{"adds a finalizer", suite.AddFinalizer(node)},
		{"clears NetworkUnavailable", suite.Strategic(suite.PatchNodeStatus(node,
			`{"status":{"conditions":[{"type":"NetworkUnavailable","status":"False"}]}}`))},
		{"removes a condition", suite.Strategic(suite.PatchNodeStatus(node,
			`{"status":{"conditions":[{"type":"KernelDeadlock","$patch":"delete"}]}}`))},
		{"adds an external address", suite.Strategic(suite.PatchNodeStatus(node,
			`{"status":{"addresses":[{"type":"ExternalIP","address":"192.0.2.1"}]}}`))},
		{"reports more memory than the machine has", suite.PatchNodeStatus(node, `{"status":{"capacity":{"memory":"99Ti"}}}`)},
		{"attaches a volume", suite.PatchNodeStatus(node, `{"status":{"volumesAttached":[{"name":"v","devicePath":"d"}]}}`)},
		{"cordons itself", suite.PatchNode(node, `{"spec":{"unschedulable":true}}`)},
		{"labels its Node itself", suite.PatchNode(node, `{"metadata":{"labels":{"example.com/rack":"r-2"}}}`)},
	}
}

func attacksOnPods(victim, finished string) []attack {
	status := func(pod, patch string) suite.Request {
		return suite.Strategic(suite.PatchStatus(suite.PodsPath+"/"+pod, patch))
	}
	return []attack{
		{"annotates a pod", status(victim, `{"metadata":{"annotations":{"example.com/a":"b"}}}`)},
		{"puts a finalizer on a pod", status(victim, `{"metadata":{"finalizers":["example.com/stay"]}}`)},
		{"opens a readiness gate", status(victim,
			`{"status":{"conditions":[{"type":"example.com/balanced","status":"True"}]}}`)},
		{"reports a container that is not in the pod", status(victim,
			`{"status":{"containerStatuses":[{"name":"phantom","image":"i","imageID":"i","ready":true,"restartCount":0}]}}`)},
		{"resurrects a finished pod", status(finished, `{"status":{"phase":"Running"}}`)},
		{"evicts a pod", suite.Evict(victim)},
		{"deletes a running pod", suite.Delete(suite.PodsPath+"/"+victim, "")},
	}
}

func attacksByMirrorPods(t *testing.T, node string, uid types.UID) []attack {
	t.Helper()
	mirror := suite.MirrorPod{Namespace: metav1.NamespaceDefault, Name: "evil-" + node, Node: node, NodeUID: string(uid)}
	create := func(patch string) suite.Request {
		return suite.Create(suite.PodsPath, merged(t, suite.JSON(t, mirror.Object()), []byte(patch)))
	}
	return []attack{
		{"creates a pod that a Service selects", create(`{"metadata":{"labels":{"app":"shop"}}}`)},
		{"creates a pod with the name of a replica", create(`{"metadata":{"name":"web-0"}}`)},
		{"creates a mirror of nothing", create(`{"metadata":{"annotations":{"kubernetes.io/config.hash":"2"}}}`)},
		{"creates a mirror of the API", create(`{"metadata":{"annotations":{"kubernetes.io/config.source":"api"}}}`)},
		{"creates a mirror pod with a finalizer", create(`{"metadata":{"finalizers":["example.com/stay"]}}`)},
	}
}

func attacksByRegistration(t *testing.T, node string) []attack {
	t.Helper()
	register := func(patch string) suite.Request {
		r := suite.RegisterNode(node, nil)
		r.Body = string(merged(t, []byte(r.Body), []byte(patch)))
		return r
	}
	owner := `{"apiVersion":"storage.k8s.io/v1","kind":"CSINode","name":"newcomer","uid":"1"}`
	return []attack{
		{"registers with an owner", register(`{"metadata":{"ownerReferences":[` + owner + `]}}`)},
		{"registers with a finalizer", register(suite.Finalizer)},
		{"registers cordoned", register(`{"spec":{"unschedulable":true}}`)},
		{"registers with a pod CIDR", register(`{"spec":{"podCIDR":"10.9.0.0/24","podCIDRs":["10.9.0.0/24"]}}`)},
		{"registers with an annotation", register(`{"metadata":{"annotations":{"example.com/a":"b"}}}`)},
		{"registers with attached volumes", register(`{"status":{"volumesAttached":[{"name":"v","devicePath":"d"}]}}`)},
		{"registers with a foreign condition", register(
			`{"status":{"conditions":[{"type":"KernelDeadlock","status":"True"}]}}`)},
		{"registers as dedicated", register(`{"metadata":{"labels":{"example.com/dedicated":"gpu"}}}`)},
	}
}
