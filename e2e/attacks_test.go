// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"fmt"
	"net/http"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"noderestriction.plus/policy"
)

// attack is a write that stock Kubernetes allows to a kubelet's credential, and no kubelet sends.
type attack struct {
	name    string
	request call
}

// testAttacksOf shows that what no kubelet writes is denied to whoever holds a kubelet's credential, also in a dry run,
// and that each denial is recorded: that the kubelets passed is not for want of a judge.
func (s *suite) testAttacksOf(t *testing.T, l *worker) {
	l.runPod(t, l.pod("victim", stays))
	finished := l.pod("finished", exits)
	finished.Spec.RestartPolicy = corev1.RestartPolicyNever
	_, err := s.admin.CoreV1().Pods(metav1.NamespaceDefault).Create(t.Context(), finished, metav1.CreateOptions{})
	check(t, err)
	s.awaitPod(t, metav1.NamespaceDefault, "finished", func(pod *corev1.Pod) bool {
		return pod != nil && pod.Status.Phase == corev1.PodSucceeded
	})
	s.prepareNode(t, l)
	s.deny(t, l.attacker, l.Node, attacksOnNode(l.Node))
	s.deny(t, l.attacker, l.Node, attacksOnPods("victim", "finished"))
	s.deny(t, l.attacker, l.Node, attacksByMirrorPods(t, l.Node, l.getNode(t, l.Node).UID))

	const newcomer = "newcomer"
	config, err := s.stock.Kubelet(newcomer)
	s.deny(t, newCaller(t, config, err), newcomer, attacksByRegistration(t, newcomer))
}

// prepareNode gives the Node what an administrator and controllers may give it.
func (s *suite) prepareNode(t *testing.T, l *worker) {
	t.Helper()
	for subresource, patch := range map[string]string{
		"": `{"metadata":{"labels":{"example.com/pool":"a"},"annotations":{"example.com/note":"a"}},` +
			`"spec":{"unschedulable":false}}`,
		"status": `{"status":{"conditions":[{"type":"NetworkUnavailable","status":"True"},` +
			`{"type":"KernelDeadlock","status":"True"}]}}`,
	} {
		_, err := s.admin.CoreV1().Nodes().Patch(t.Context(), l.Node, types.StrategicMergePatchType, []byte(patch),
			metav1.PatchOptions{}, subresource)
		check(t, err)
	}
}

// deny sends attacks, each first in a dry run, and checks that we deny and record them.
func (s *suite) deny(t *testing.T, attacker caller, node string, attacks []attack) {
	for _, attack := range attacks {
		t.Run(attack.name, func(t *testing.T) {
			for _, dryRun := range []bool{true, false} {
				request := attack.request
				if dryRun {
					request.query = withDryRun(request.query)
				}
				first, err := s.product.Records.Len()
				check(t, err)
				a, err := attacker.do(t.Context(), request)
				check(t, err)
				if _, message := a.deniedBy(); a.code != http.StatusForbidden || message == "" {
					t.Errorf("dry run %v: want 403 by us, got %s", dryRun, a)
				}
				records, err := s.product.Records.Since(first)
				check(t, err)
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

func strategic(request call) call {
	request.contentType = mediaStrategic
	return request
}

func attacksOnNode(node string) []attack {
	direct := func(patch string) call {
		return call{
			method: http.MethodPatch, path: "/api/v1/nodes/" + node, contentType: mediaMergePatch, body: []byte(patch),
		}
	}
	return []attack{
		{"adds a label", patchStatus(node, `{"metadata":{"labels":{"example.com/dedicated":"gpu"}}}`)},
		{"changes a label", patchStatus(node, `{"metadata":{"labels":{"example.com/pool":"b"}}}`)},
		{"removes a label", patchStatus(node, `{"metadata":{"labels":{"example.com/pool":null}}}`)},
		{"adds an annotation", patchStatus(node, `{"metadata":{"annotations":{"example.com/new":""}}}`)},
		{"changes an annotation", patchStatus(node, `{"metadata":{"annotations":{"example.com/note":"b"}}}`)},
		{"removes an annotation", patchStatus(node, `{"metadata":{"annotations":{"example.com/note":null}}}`)},
		{"adds a finalizer", patchStatus(node, addsFinalizer)},
		{"clears NetworkUnavailable", strategic(patchStatus(node,
			`{"status":{"conditions":[{"type":"NetworkUnavailable","status":"False"}]}}`))},
		{"removes a condition", strategic(patchStatus(node,
			`{"status":{"conditions":[{"type":"KernelDeadlock","$patch":"delete"}]}}`))},
		{"adds an external address", strategic(patchStatus(node,
			`{"status":{"addresses":[{"type":"ExternalIP","address":"192.0.2.1"}]}}`))},
		{"has more memory than there is", patchStatus(node, `{"status":{"capacity":{"memory":"99Ti"}}}`)},
		{"attaches a volume", patchStatus(node, `{"status":{"volumesAttached":[{"name":"v","devicePath":"d"}]}}`)},
		{"cordons itself", direct(`{"spec":{"unschedulable":true}}`)},
		{"labels its Node itself", direct(`{"metadata":{"labels":{"example.com/rack":"r-2"}}}`)},
	}
}

func attacksOnPods(victim, finished string) []attack {
	path := func(pod, subresource string) string {
		return "/api/v1/namespaces/" + metav1.NamespaceDefault + "/pods/" + pod + subresource
	}
	status := func(pod, patch string) call {
		return call{
			method: http.MethodPatch, path: path(pod, "/status"), contentType: mediaStrategic, body: []byte(patch),
		}
	}
	return []attack{
		{"annotates a pod", status(victim, `{"metadata":{"annotations":{"example.com/a":"b"}}}`)},
		{"puts a finalizer on a pod", status(victim, `{"metadata":{"finalizers":["example.com/stay"]}}`)},
		{"opens a readiness gate", status(victim,
			`{"status":{"conditions":[{"type":"example.com/balanced","status":"True"}]}}`)},
		{"reports a container that is not in the pod", status(victim,
			`{"status":{"containerStatuses":[{"name":"phantom","image":"i","imageID":"i","ready":true,"restartCount":0}]}}`)},
		{"resurrects a finished pod", status(finished, `{"status":{"phase":"Running"}}`)},
		{"evicts a pod", call{
			method: http.MethodPost, path: path(victim, "/eviction"), contentType: mediaJSON,
			body: fmt.Appendf(nil, `{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":%q}}`, victim),
		}},
		{"deletes a running pod", call{method: http.MethodDelete, path: path(victim, "")}},
	}
}

func attacksByMirrorPods(t *testing.T, node string, uid types.UID) []attack {
	t.Helper()
	mirror := toJSON(t, map[string]any{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{
			"name": "evil-" + node,
			"annotations": map[string]string{
				corev1.MirrorPodAnnotationKey: "1", "kubernetes.io/config.hash": "1", "kubernetes.io/config.source": "file",
			},
			"ownerReferences": []metav1.OwnerReference{{
				APIVersion: "v1", Kind: "Node", Name: node, UID: uid, Controller: new(true),
			}},
		},
		"spec": map[string]any{
			"nodeName": node, "containers": []map[string]string{{"name": "c", "image": stays}},
		},
	})
	create := func(patch string) call {
		return call{
			method: http.MethodPost, path: "/api/v1/namespaces/default/pods", contentType: mediaJSON,
			body: merged(t, mirror, []byte(patch)),
		}
	}
	return []attack{
		{"creates a pod that a Service selects", create(`{"metadata":{"labels":{"app":"shop"}}}`)},
		{"creates a pod by the name of a replica", create(`{"metadata":{"name":"web-0"}}`)},
		{"creates a mirror of nothing", create(`{"metadata":{"annotations":{"kubernetes.io/config.hash":"2"}}}`)},
		{"creates a mirror of the API", create(`{"metadata":{"annotations":{"kubernetes.io/config.source":"api"}}}`)},
		{"creates a mirror pod with a finalizer", create(`{"metadata":{"finalizers":["example.com/stay"]}}`)},
	}
}

func attacksByRegistration(t *testing.T, node string) []attack {
	t.Helper()
	register := func(patch string) call {
		body := toJSON(t, map[string]any{
			"apiVersion": "v1", "kind": "Node", "metadata": map[string]any{"name": node},
		})
		return call{
			method: http.MethodPost, path: "/api/v1/nodes", contentType: mediaJSON, body: merged(t, body, []byte(patch)),
		}
	}
	owner := `{"apiVersion":"storage.k8s.io/v1","kind":"CSINode","name":"newcomer","uid":"1"}`
	return []attack{
		{"registers with an owner", register(`{"metadata":{"ownerReferences":[` + owner + `]}}`)},
		{"registers with a finalizer", register(addsFinalizer)},
		{"registers cordoned", register(`{"spec":{"unschedulable":true}}`)},
		{"registers with a range of pods", register(`{"spec":{"podCIDR":"10.9.0.0/24","podCIDRs":["10.9.0.0/24"]}}`)},
		{"registers with an annotation", register(`{"metadata":{"annotations":{"example.com/a":"b"}}}`)},
		{"registers with attached volumes", register(`{"status":{"volumesAttached":[{"name":"v","devicePath":"d"}]}}`)},
		{"registers with a foreign condition", register(
			`{"status":{"conditions":[{"type":"KernelDeadlock","status":"True"}]}}`)},
		{"registers as dedicated", register(`{"metadata":{"labels":{"example.com/dedicated":"gpu"}}}`)},
	}
}
