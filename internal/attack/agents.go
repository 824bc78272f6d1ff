// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package attack

import (
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"

	"noderestriction.plus/internal/review"
	"noderestriction.plus/policy"
)

// agentUser returns the user of a token that is bound to a node. The account is namespace/name.
func agentUser(account, node string) authenticationv1.UserInfo {
	namespace, name, _ := strings.Cut(account, "/")
	return review.ServiceAccountOf(namespace, name, node)
}

// agentOf returns the service account of a user and the node of its token, and false if the user has none.
func agentOf(user authenticationv1.UserInfo) (account, node string, is bool) {
	id, _ := review.SubjectOf(user)
	return id.Subject.Account, id.Node, id.Subject.Kind == policy.ServiceAccount && id.Node != ""
}

// AgentCatalogue returns the attacks with the token of a node agent: on its own node, and on another one. No plugin of Kubernetes holds a
// service account to a node, so that each of them passes if RBAC allows the agent such a write of its own node.
func AgentCatalogue() []Attack {
	return slices.Concat(ownNodeAttacks(), otherNodeAttacks(), otherPodAttacks())
}

const noTaint = "the Node has no taint"

// onOther returns an attack that patches another Node.
func onOther(subresource string, change func(node map[string]any) (patch map[string]any, reason string)) func(*state) (*write, string) {
	return func(s *state) (*write, string) {
		patch, reason := change(s.otherObject)
		if reason != "" {
			return nil, reason
		}
		return patchOf("nodes", subresource, s.otherObject, patch), ""
	}
}

// untainted removes all taints of a Node.
func untainted(node map[string]any) (map[string]any, string) {
	if taints, _ := lookUp(node, "spec", "taints").([]any); len(taints) == 0 {
		return nil, noTaint
	}
	return spec(object{"taints": nil}), ""
}

// otherImage replaces the images of all containers of a pod.
func otherImage(pod map[string]any) (map[string]any, string) {
	containers, _ := lookUp(pod, "spec", "containers").([]any)
	var changed []any
	for _, c := range containers {
		container, _ := c.(object)
		changed = append(changed, mergePatch(container, object{"image": "registry.example.com/nrp-attack"}))
	}
	return spec(object{"containers": changed}), ""
}

func ownNodeAttacks() []Attack {
	return []Attack{
		{
			ID: "agent-labels-own-node", Rule: "node-labels", Technique: adversaryInMiddle,
			Does:  "moves its Node to a zone of its own by a label, to attract pods that are spread over zones, and their secrets",
			write: onNode("", always(metadata(object{"labels": object{"topology.kubernetes.io/zone": "nrp-attack"}}))),
		},
		{
			ID: "agent-untaints-own-node", Rule: "node-taints", Technique: impairDefenses,
			Does:  "removes the taints of its Node, so that pods come that must not run there",
			write: onNode("", untainted),
		},
		{
			ID: "agent-forges-condition", Rule: "node-conditions", Technique: dataManipulation,
			Does: "reports a condition that others are to report",
			write: onNode("status", with([]string{"status", "conditions"}, object{
				"type": "example.com/Trusted", "status": "True", "reason": "NrpAttack", "message": "nrp-attack",
				"lastHeartbeatTime": "2026-11-24T08:00:00Z", "lastTransitionTime": "2026-11-24T08:00:00Z",
			})),
		},
		{
			ID: "agent-annotates-pod", Rule: "pod-metadata", Technique: dataManipulation,
			Does:  "annotates a pod on its node, which controllers and CNI plugins trust",
			write: onPodWhole(always(metadata(object{"annotations": object{"example.com/trusted": "true"}}))),
		},
		{
			ID: "agent-replaces-image", Rule: "pod-spec", Technique: deployContainer,
			Does:  "replaces the image of a pod on its node by its own, which then has the secrets of the pod",
			write: onPodWhole(otherImage),
		},
	}
}

// onPodWhole returns an attack that patches a pod on the node other than through pods/status.
func onPodWhole(change func(pod map[string]any) (patch map[string]any, reason string)) func(*state) (*write, string) {
	return func(s *state) (*write, string) {
		if s.pod == nil {
			return nil, noPod
		}
		patch, reason := change(s.pod)
		if reason != "" {
			return nil, reason
		}
		return patchOf("pods", "", s.pod, patch), ""
	}
}

func otherNodeAttacks() []Attack {
	return []Attack{
		{
			ID: "agent-labels-other-node", Rule: "node-self", Technique: adversaryInMiddle,
			Does:  "labels another Node, to move pods to nodes that it controls",
			write: onOther("", always(metadata(object{"labels": object{"example.com/dedicated": "pci"}}))),
		},
		{
			ID: "agent-taints-other-node", Rule: "node-self", Technique: endpointDenial,
			Does:  "taints another Node, which evicts the pods there",
			write: onOther("", with([]string{"spec", "taints"}, object{"key": "example.com/nrp-attack", "effect": "NoExecute"})),
		},
		{
			ID: "agent-cordons-other-node", Rule: "node-self", Technique: endpointDenial,
			Does: "cordons another Node, to drive pods to nodes that it controls",
			write: onOther("", func(node map[string]any) (map[string]any, string) {
				cordoned, _ := lookUp(node, "spec", "unschedulable").(bool)
				return spec(object{"unschedulable": !cordoned}), ""
			}),
		},
		{
			ID: "agent-forges-other-condition", Rule: "node-self", Technique: endpointDenial,
			Does: "reports another Node as broken, so that controllers repair or replace it",
			write: onOther("status", with([]string{"status", "conditions"}, object{
				"type": "example.com/Broken", "status": "True", "reason": "NrpAttack", "message": "nrp-attack",
				"lastHeartbeatTime": "2026-11-24T08:00:00Z", "lastTransitionTime": "2026-11-24T08:00:00Z",
			})),
		},
		{
			ID: "agent-deletes-other-node", Rule: "node-self", Technique: serviceStop,
			Does:  "deletes another Node, and with it the pods there",
			write: func(s *state) (*write, string) { return deletion("nodes", s.otherObject), "" },
		},
		{
			ID: "agent-offers-devices-elsewhere", Rule: "objects", Technique: dataManipulation,
			Does: "offers devices of another node",
			write: func(s *state) (*write, string) {
				return creation("resourceslices.resource.k8s.io", resourceSlice(textAt(s.otherObject, "metadata", "name"))), ""
			},
		},
	}
}

// elsewhere returns an attack on a pod of another node.
func elsewhere(attack func(pod object) *write) func(*state) (*write, string) {
	return func(s *state) (*write, string) {
		if s.otherPod == nil {
			return nil, noOtherPod
		}
		return attack(s.otherPod), ""
	}
}

func otherPodAttacks() []Attack {
	return []Attack{
		{
			ID: "agent-annotates-other-pod", Rule: "pod-self", Technique: dataManipulation,
			Does: "annotates a pod of another node, which controllers and CNI plugins there trust",
			write: elsewhere(func(pod object) *write {
				return patchOf("pods", "", pod, metadata(object{"annotations": object{"example.com/trusted": "true"}}))
			}),
		},
		{
			ID: "agent-fails-other-pod", Rule: "pod-self", Technique: endpointDenial,
			Does:  "reports a pod of another node as failed, so that its controller replaces it",
			write: elsewhere(func(pod object) *write { return patchOf("pods", "status", pod, status(object{"phase": "Failed"})) }),
		},
		{
			ID: "agent-deletes-other-pod", Rule: "pod-self", Technique: serviceStop,
			Does:  "deletes a pod of another node",
			write: elsewhere(func(pod object) *write { return deletion("pods", pod) }),
		},
		{
			ID: "agent-evicts-other-pod", Rule: "pod-self", Technique: serviceStop,
			Does: "evicts a pod of another node",
			write: elsewhere(func(pod object) *write {
				return below("pods", "eviction", object{
					"apiVersion": "policy/v1", "kind": "Eviction",
					"metadata": object{"name": textAt(pod, "metadata", "name"), "namespace": textAt(pod, "metadata", "namespace")},
				})
			}),
		},
		{
			ID: "agent-runs-pod-elsewhere", Rule: "pod-self", Technique: deployContainer,
			Does: "creates a pod on another node, past the scheduler",
			write: func(s *state) (*write, string) {
				return creation("pods", object{
					"apiVersion": "v1", "kind": "Pod", "metadata": object{"name": "nrp-attack", "namespace": s.namespace()},
					"spec": object{
						"nodeName":   textAt(s.otherObject, "metadata", "name"),
						"containers": []any{object{"name": "c", "image": "registry.example.com/nrp-attack"}},
					},
				}), ""
			},
		},
	}
}

// namespace returns that of the node agent.
func (s *state) namespace() string {
	namespace, _, _ := strings.Cut(s.account, "/")
	return namespace
}
