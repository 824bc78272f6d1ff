// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package attack

import "slices"

// onPod returns an attack that patches the status of a pod on the node.
func onPod(
	pod func(*state) object, missing string, change func(pod map[string]any) (patch map[string]any, reason string),
) func(*state) (*write, string) {
	return func(s *state) (*write, string) {
		stored := pod(s)
		if stored == nil {
			return nil, missing
		}
		patch, reason := change(stored)
		if reason != "" {
			return nil, reason
		}
		return patchOf("pods", "status", stored, patch), ""
	}
}

const (
	noPod      = "no unfinished pod on the node is known"
	noFinished = "no finished pod on the node is known"
	noOtherPod = "no pod of another node is known; name one with --other-pod"
)

func unfinished(s *state) object { return s.pod }

func podAttacks() []Attack {
	return []Attack{
		{
			ID: "annotate-pod", Rule: "pod-metadata", Technique: dataManipulation,
			Does:  "annotates a pod through pods/status, to control the controllers that read annotations",
			write: onPod(unfinished, noPod, always(metadata(object{"annotations": object{"example.com/a": "b"}}))),
		},
		{
			ID: "strip-job-finalizer", Rule: "pod-metadata", Technique: dataManipulation,
			Does: "strips the finalizer with which a Job counts its pods",
			write: onPod(func(s *state) object { return s.jobPod }, "no pod of a Job on the node is known",
				func(pod map[string]any) (map[string]any, string) {
					list, _ := lookUp(pod, "metadata", "finalizers").([]any)
					kept := slices.DeleteFunc(slices.Clone(list), func(f any) bool { return f == jobFinalizer })
					return metadata(object{"finalizers": kept}), ""
				}),
		},
		{
			ID: "label-pod", Rule: "baseline-pods", Technique: adversaryInMiddle, Stock: NodeRestriction,
			Does:  "labels a pod, so that a Service selects it",
			write: onPod(unfinished, noPod, always(metadata(object{"labels": object{"example.com/a": "b"}}))),
		},
		{
			ID: "own-labels-of-pod", Rule: "pod-managed-fields", Technique: dataManipulation,
			Does: "becomes a co-owner of the labels of a pod by server-side apply",
			write: func(s *state) (*write, string) {
				if s.pod == nil {
					return nil, noPod
				}
				return applyOf("pods", "Pod", "status", s.pod)
			},
		},
		{
			ID: "open-readiness-gate", Rule: "pod-conditions", Technique: dataManipulation,
			Does: "reports the condition of a readiness gate, which only its controller may do",
			write: onPod(unfinished, noPod, with([]string{"status", "conditions"},
				object{"type": "example.com/nrp-attack", "status": "True"})),
		},
		{
			ID: "report-phantom-container", Rule: "pod-containers", Technique: dataManipulation,
			Does: "reports a container that the pod does not have",
			write: onPod(unfinished, noPod, with([]string{"status", "containerStatuses"}, object{
				"name": "nrp-attack-phantom", "image": "i", "imageID": "i", "ready": true, "restartCount": int64(0),
			})),
		},
		{
			ID: "hijack-address", Rule: "pod-ips", Technique: adversaryInMiddle,
			Does: "reports a link-local address as the pod's, to receive or redirect traffic",
			write: onPod(unfinished, noPod, always(status(object{
				"podIP": "169.254.169.254", "podIPs": []any{object{"ip": "169.254.169.254"}},
			}))),
		},
		{
			ID: "resurrect-pod", Rule: "pod-phase", Technique: dataManipulation,
			Does:  "reports a finished pod as running again",
			write: onPod(func(s *state) object { return s.finished }, noFinished, always(status(object{"phase": "Running"}))),
		},
		{
			ID: "observe-future", Rule: "pod-observed-generation", Technique: dataManipulation,
			Does:  "reports a generation of the pod that is yet to come, so that controllers take a change for done",
			write: onPod(unfinished, noPod, always(status(object{"observedGeneration": int64(1_000_000)}))),
		},
		{
			ID: "set-unknown-pod-field", Rule: "pod-unknown-fields", Technique: dataManipulation, Stock: APIServer,
			Does:  "sets a field of a pod's status that this version does not know",
			write: onPod(unfinished, noPod, always(status(object{"brandNew": int64(1)}))),
		},
		{
			ID: "kill-pod", Rule: "pod-deletion", Technique: serviceStop,
			Does: "deletes a running pod on its node, past its PodDisruptionBudget",
			write: func(s *state) (*write, string) {
				if s.pod == nil {
					return nil, noPod
				}
				return deletion("pods", s.pod), ""
			},
		},
		{
			ID: "evict-pod", Rule: "pod-eviction", Technique: serviceStop,
			Does: "evicts a pod on its node through the API",
			write: func(s *state) (*write, string) {
				if s.pod == nil {
					return nil, noPod
				}
				namespace, name := textAt(s.pod, "metadata", "namespace"), textAt(s.pod, "metadata", "name")
				return below("pods", "eviction", object{
					"apiVersion": "policy/v1", "kind": "Eviction", "metadata": object{"namespace": namespace, "name": name},
				}), ""
			},
		},
		{
			ID: "delete-pod-elsewhere", Rule: "pod-self", Technique: serviceStop, Stock: NodeRestriction,
			Does: "deletes a pod of another node",
			write: func(s *state) (*write, string) {
				if s.otherPod == nil {
					return nil, noOtherPod
				}
				return deletion("pods", s.otherPod), ""
			},
		},
		{
			ID: "report-pod-elsewhere", Rule: "pod-self", Technique: dataManipulation, Stock: NodeRestriction,
			Does: "reports the status of a pod of another node",
			write: onPod(func(s *state) object { return s.otherPod }, noOtherPod,
				always(metadata(object{"annotations": object{"example.com/a": "b"}}))),
		},
		{
			ID: "bind-pod", Technique: deployContainer, Stock: Authorizer,
			Does: "binds a pod to its own node, as only the scheduler may do",
			write: func(s *state) (*write, string) {
				if s.otherPod == nil {
					return nil, noOtherPod
				}
				namespace, name := textAt(s.otherPod, "metadata", "namespace"), textAt(s.otherPod, "metadata", "name")
				return below("pods", "binding", object{
					"apiVersion": "v1", "kind": "Binding", "metadata": object{"namespace": namespace, "name": name},
					"target": object{"apiVersion": "v1", "kind": "Node", "name": s.node},
				}), ""
			},
		},
	}
}

// mirroring returns an attack that creates a mirror pod.
func mirroring(change object) func(*state) (*write, string) {
	return func(s *state) (*write, string) {
		if s.own == nil {
			return nil, "the Node does not exist"
		}
		return creation("pods", mergePatch(s.mirrorPod(), change)), ""
	}
}

func spec(of object) object { return object{"spec": of} }

func mirrorPodAttacks() []Attack {
	container := object{"name": "c", "image": "registry.example.com/c"}
	return []Attack{
		{
			ID: "create-pod", Rule: "baseline-pods", Technique: deployContainer, Stock: NodeRestriction,
			Does:  "creates a pod that is no mirror pod",
			write: mirroring(metadata(object{"annotations": nil})),
		},
		{
			ID: "mirror-secret", Rule: "baseline-pods", Technique: stealToken, Stock: NodeRestriction,
			Does: "creates a mirror pod that mounts a secret, to read it",
			write: mirroring(spec(object{"volumes": []any{
				object{"name": "a", "secret": object{"secretName": "admin"}},
			}})),
		},
		{
			ID: "mirror-labelled", Rule: "mirror-pod-labels", Technique: adversaryInMiddle,
			Does:  "creates a mirror pod with a label by which Services select, to receive their traffic",
			write: mirroring(metadata(object{"labels": object{"app": "payments"}})),
		},
		{
			ID: "mirror-name", Rule: "mirror-pod-names", Technique: masquerading,
			Does:  "creates a mirror pod with the name of a replica, which its StatefulSet then cannot create",
			write: mirroring(metadata(object{"name": "web-0"})),
		},
		{
			ID: "mirror-namespace", Rule: "mirror-pod-namespaces", Technique: trustedRelation,
			Does:  "creates a mirror pod in the namespace of others",
			write: mirroring(metadata(object{"namespace": "kube-public"})),
		},
		{
			ID: "mirror-annotations", Rule: "mirror-pod-annotations", Technique: masquerading,
			Does: "creates a mirror pod of no static pod, with an annotation that a monitoring system reads",
			write: mirroring(metadata(object{"annotations": object{
				"prometheus.io/scrape": "true", "kubernetes.io/config.source": nil,
			}})),
		},
		{
			ID: "mirror-finalizer", Rule: "mirror-pod-finalizers", Technique: endpointDenial,
			Does:  "creates a mirror pod with a finalizer, so that the deletion of its namespace hangs",
			write: mirroring(metadata(object{"finalizers": []any{stay}})),
		},
		{
			ID: "mirror-applied", Rule: "mirror-pod-managed-fields", Technique: masquerading,
			Does: "creates a mirror pod that looks as if a GitOps tool had applied it, so that the tool adopts or prunes it",
			write: mirroring(metadata(object{"managedFields": []any{object{
				"manager": "argocd-controller", "operation": "Apply", "apiVersion": "v1", "time": "2026-11-01T00:00:00Z",
				"fieldsType": "FieldsV1",
				// A field that the pod does not have: the API server takes others out of the entry.
				"fieldsV1": object{"f:metadata": object{"f:annotations": object{"f:example.com/note": object{}}}},
			}}})),
		},
		{
			ID: "mirror-repels", Rule: "mirror-pod-placement", Technique: endpointDenial,
			Does: "creates a mirror pod with anti-affinity to all pods, to keep others away",
			write: mirroring(spec(object{"affinity": object{"podAntiAffinity": object{
				"requiredDuringSchedulingIgnoredDuringExecution": []any{
					object{"topologyKey": "topology.kubernetes.io/zone", "labelSelector": object{}},
				},
			}}})),
		},
		{
			ID: "mirror-priority", Rule: "mirror-pod-priority-classes", Technique: resourceHijacking,
			Does: "creates a mirror pod of a high priority class, so that other pods are preempted",
			write: mirroring(object{
				"metadata": object{"namespace": "default"}, "spec": object{"priorityClassName": "system-cluster-critical"},
			}),
		},
		{
			ID: "mirror-privileged", Rule: "mirror-pod-host-access", Technique: masquerading,
			Does: "creates a mirror pod that shows privileged containers and host namespaces",
			write: mirroring(spec(object{
				"hostPID": true, "hostIPC": true,
				"containers": []any{mergePatch(container, object{"securityContext": object{"privileged": true}})},
			})),
		},
		{
			ID: "mirror-gated", Rule: "mirror-pod-readiness-gates", Technique: trustedRelation,
			Does:  "creates a mirror pod with a readiness gate, so that a load balancer sends it traffic",
			write: mirroring(spec(object{"readinessGates": []any{object{"conditionType": "target-health.elbv2.k8s.aws/web"}}})),
		},
		{
			ID: "mirror-joins-group", Rule: "mirror-pod-references", Technique: resourceHijacking, Stock: APIServer,
			Does:  "creates a mirror pod that joins the scheduling group of others",
			write: mirroring(spec(object{"schedulingGroup": object{"podGroupName": "train"}})),
		},
	}
}
