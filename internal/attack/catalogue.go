// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package attack

import (
	"slices"

	"noderestriction.plus/policy"
)

// Attack is a write that an attacker with the credential of a kubelet could try.
type Attack struct {
	// ID names the attack in all outputs. It does not change between versions.
	ID string
	// Rule is the rule that is about this attack; empty if the authorizer alone is enough.
	Rule policy.RuleID
	// Does says what the attacker does and gains, without a subject.
	Does string
	// Technique is the ID of the technique in MITRE ATT&CK, as we classify it; empty if none fits.
	Technique string
	// Stock is who stops it in [StockVersion] of Kubernetes with the Node authorizer and NodeRestriction, without this product: e2e
	// tests it.
	Stock Stopper

	// write returns the request, or why it cannot be tried.
	write func(*state) (*write, string)
	// onlyIfForbidden says that a stock kubelet does this, too: it is an attack only where a policy forbids it.
	onlyIfForbidden bool
}

// StockVersion is the minor release of Kubernetes in which e2e tests who stops each attack without this product.
const StockVersion = "1.37"

// Catalogue returns all attacks: at least one for each rule, and what every kubelet's credential is tried for first.
func Catalogue() []Attack {
	return slices.Concat(nodeAttacks(), registrationAttacks(), podAttacks(), mirrorPodAttacks(), otherAttacks())
}

// Techniques of MITRE ATT&CK for Enterprise, with their names.
const (
	dataManipulation   = "T1565.001" // Stored Data Manipulation
	masquerading       = "T1036.005" // Match Legitimate Resource Name or Location
	adversaryInMiddle  = "T1557"     // Adversary-in-the-Middle
	impairDefenses     = "T1562"     // Impair Defenses
	endpointDenial     = "T1499"     // Endpoint Denial of Service
	serviceStop        = "T1489"     // Service Stop
	deployContainer    = "T1610"     // Deploy Container
	stealToken         = "T1528"     // Steal Application Access Token
	clusterRoles       = "T1098.006" // Additional Container Cluster Roles
	forgeCredentials   = "T1649"     // Steal or Forge Authentication Certificates
	trustedRelation    = "T1199"     // Trusted Relationship
	resourceHijacking  = "T1496"     // Resource Hijacking
	indicatorBlocking  = "T1562.006" // Indicator Blocking
	persistenceAccount = "T1098"     // Account Manipulation
)

// stay is the finalizer that attacks set.
const stay = "example.com/stay"

// onNode returns an attack that patches the kubelet's own Node.
func onNode(subresource string, change func(node map[string]any) (patch map[string]any, reason string)) func(*state) (*write, string) {
	return func(s *state) (*write, string) {
		if s.own == nil {
			return nil, "the Node does not exist"
		}
		patch, reason := change(s.own)
		if reason != "" {
			return nil, reason
		}
		return patchOf("nodes", subresource, s.own, patch), ""
	}
}

// always adapts a patch that does not depend on the Node.
func always(patch map[string]any) func(map[string]any) (map[string]any, string) {
	return func(map[string]any) (map[string]any, string) { return patch, "" }
}

// with adds an element to a list of the stored object: a JSON merge patch replaces lists.
func with(path []string, elements ...any) func(map[string]any) (map[string]any, string) {
	return func(stored map[string]any) (map[string]any, string) {
		list, _ := lookUp(stored, path...).([]any)
		var patch any = append(slices.Clone(list), elements...)
		for _, name := range slices.Backward(path) {
			patch = object{name: patch}
		}
		return patch.(object), ""
	}
}

// object is a JSON object.
type object = map[string]any

func status(of object) object { return object{"status": of} }

func metadata(of object) object { return object{"metadata": of} }

func nodeAttacks() []Attack {
	return []Attack{
		{
			ID: "label-own-node", Rule: "node-labels", Technique: adversaryInMiddle,
			Does:  "labels its own Node, to attract the pods that select this label, and their secrets",
			write: onNode("status", always(metadata(object{"labels": object{"example.com/dedicated": "pci"}}))),
		},
		{
			ID: "set-protected-label", Rule: "baseline-nodes", Technique: adversaryInMiddle, Stock: NodeRestriction,
			Does:  "labels its own Node under node-restriction.kubernetes.io, which isolates nodes",
			write: onNode("", always(metadata(object{"labels": object{"node-restriction.kubernetes.io/pci": "true"}}))),
		},
		{
			ID: "annotate-own-node", Rule: "node-annotations", Technique: impairDefenses,
			Does: "annotates its own Node, so that the cluster autoscaler never removes the machine",
			write: onNode("status", always(metadata(object{
				"annotations": object{"cluster-autoscaler.kubernetes.io/scale-down-disabled": "true"},
			}))),
		},
		{
			ID: "hold-own-node", Rule: "node-finalizers", Technique: endpointDenial,
			Does:  "puts a finalizer on its own Node, so that an administrator's delete hangs",
			write: onNode("status", with([]string{"metadata", "finalizers"}, stay)),
		},
		{
			ID: "own-labels-of-others", Rule: "node-managed-fields", Technique: dataManipulation,
			Does: "becomes a co-owner of the labels of its Node by server-side apply, so that they stay when their owner removes them",
			write: func(s *state) (*write, string) {
				if s.own == nil {
					return nil, "the Node does not exist"
				}
				return applyOf("nodes", "Node", "status", s.own)
			},
		},
		{
			ID: "uncordon-own-node", Rule: "node-unschedulable", Technique: impairDefenses,
			Does: "uncordons its own Node after an administrator cordoned it",
			write: onNode("", func(node map[string]any) (map[string]any, string) {
				if cordoned, _ := lookUp(node, "spec", "unschedulable").(bool); !cordoned {
					return nil, "the Node is not cordoned"
				}
				return object{"spec": object{"unschedulable": nil}}, ""
			}),
		},
		{
			ID: "cordon-own-node", Rule: "node-unschedulable", Technique: endpointDenial,
			Does: "cordons its own Node, to drive pods to other nodes",
			write: onNode("", func(node map[string]any) (map[string]any, string) {
				if cordoned, _ := lookUp(node, "spec", "unschedulable").(bool); cordoned {
					return nil, "the Node is cordoned already"
				}
				return object{"spec": object{"unschedulable": true}}, ""
			}),
		},
		{
			ID: "taint-own-node", Rule: "node-taints", Technique: impairDefenses, Stock: NodeRestriction,
			Does:  "changes the taints of its own Node, which decide what runs there",
			write: onNode("", with([]string{"spec", "taints"}, object{"key": "example.com/mine", "effect": "NoSchedule"})),
		},
		{
			ID: "write-node-directly", Rule: "node-direct-updates", Technique: dataManipulation,
			Does: "writes its Node other than through nodes/status, as kubectl edit does",
			write: onNode("", always(metadata(object{
				"annotations": object{"volumes.kubernetes.io/controller-managed-attach-detach": "false"},
			}))),
		},
		{
			ID: "redirect-api-server", Rule: "node-addresses", Technique: adversaryInMiddle,
			Does:  "reports a loopback address, so that the API server connects to itself when it connects to the kubelet",
			write: onNode("status", with([]string{"status", "addresses"}, object{"type": "InternalIP", "address": "127.0.0.1"})),
		},
		{
			ID: "take-address-of-another", Rule: "node-addresses", Technique: adversaryInMiddle,
			Does: "reports the address of another Node, so that the API server connects to its kubelet instead",
			write: func(s *state) (*write, string) {
				if s.own == nil {
					return nil, "the Node does not exist"
				}
				address := internalIP(s.otherObject)
				if address == "" {
					return nil, "no other Node with an address is known"
				}
				patch, _ := with([]string{"status", "addresses"}, object{"type": "InternalIP", "address": address})(s.own)
				return patchOf("nodes", "status", s.own, patch), ""
			},
		},
		{
			ID: "move-kubelet-port", Rule: "node-kubelet-ports", Technique: adversaryInMiddle,
			Does: "reports the port of an API server as its own",
			write: onNode("status", always(status(object{
				"daemonEndpoints": object{"kubeletEndpoint": object{"Port": int64(6443)}},
			}))),
		},
		{
			ID: "forge-condition", Rule: "node-conditions", Technique: indicatorBlocking,
			Does: "reports the condition of a problem detector, to hide that its node is broken",
			write: onNode("status", with([]string{"status", "conditions"}, object{
				"type": "KernelDeadlock", "status": "False", "reason": "KernelHasNoDeadlock", "message": "kernel has no deadlock",
			})),
		},
		{
			ID: "inflate-capacity", Rule: "node-capacity", Technique: adversaryInMiddle,
			Does: "reports more CPUs than any machine has, to attract pods",
			write: onNode("status", always(status(object{
				"capacity": object{"cpu": "9999"}, "allocatable": object{"cpu": "9999"},
			}))),
		},
		{
			ID: "offer-gpus", Rule: "node-extended-resources", Technique: adversaryInMiddle,
			Does: "reports GPUs that it does not have, to attract the pods that need them",
			write: onNode("status", always(status(object{
				"capacity": object{"nvidia.com/gpu": "9999"}, "allocatable": object{"nvidia.com/gpu": "9999"},
			}))),
		},
		{
			ID: "claim-images", Rule: "node-images", Technique: adversaryInMiddle,
			Does: "reports images that it does not have, so that the scheduler prefers its node",
			write: onNode("status", func(map[string]any) (map[string]any, string) {
				images := make([]any, 60)
				for i := range images {
					images[i] = object{"names": []any{"evil.example.org/image-" + string(rune('a'+i%26)) + string(rune('a'+i/26))}, "sizeBytes": int64(1)}
				}
				return status(object{"images": images}), ""
			}),
		},
		{
			ID: "change-architecture", Rule: "node-info", Technique: adversaryInMiddle,
			Does: "reports another architecture and kubelet version, which decide what runs there",
			write: onNode("status", always(status(object{
				"nodeInfo": object{"architecture": "s390x", "kubeletVersion": "v1.99.0"},
			}))),
		},
		{
			ID: "hold-volumes", Rule: "node-volumes", Technique: endpointDenial,
			Does: "reports thousands of volumes as in use, so that none can be detached",
			write: onNode("status", func(map[string]any) (map[string]any, string) {
				volumes := make([]any, 2000)
				for i := range volumes {
					volumes[i] = "kubernetes.io/csi/example.com^" + number(i)
				}
				return status(object{"volumesInUse": volumes}), ""
			}),
		},
		{
			ID: "attach-volumes", Rule: "node-reserved-status", Technique: dataManipulation,
			Does: "reports a volume as attached, which only a controller may do",
			write: onNode("status", with([]string{"status", "volumesAttached"},
				object{"name": "kubernetes.io/csi/example.com^1", "devicePath": "/dev/x"})),
		},
		{
			ID: "declare-feature", Rule: "node-features", Technique: adversaryInMiddle,
			Does:  "declares a feature that it does not have, to attract the pods that need it",
			write: onNode("status", always(status(object{"declaredFeatures": []any{"Guaranteed"}}))),
		},
		{
			ID: "set-unknown-node-field", Rule: "node-unknown-fields", Technique: dataManipulation, Stock: APIServer,
			Does:  "sets a field of its Node that this version does not know",
			write: onNode("status", always(status(object{"brandNew": object{"a": "b"}}))),
		},
		{
			ID: "change-newer-field", Rule: "node-other-spec", Technique: dataManipulation, Stock: APIServer,
			Does:  "changes a field of the spec that this version does not know",
			write: onNode("", always(object{"spec": object{"newField": object{"a": "b"}}})),
		},
		{
			ID: "write-other-node", Rule: "node-self", Technique: dataManipulation, Stock: NodeRestriction,
			Does: "writes the status of another Node",
			write: func(s *state) (*write, string) {
				return patchOf("nodes", "status", s.otherObject, metadata(object{"labels": object{"example.com/a": "b"}})), ""
			},
		},
		{
			ID: "delete-other-node", Rule: "node-self", Technique: serviceStop, Stock: Authorizer,
			Does:  "deletes another Node, and with it the pods there",
			write: func(s *state) (*write, string) { return deletion("nodes", s.otherObject), "" },
		},
		{
			ID: "delete-own-node", Technique: persistenceAccount, Stock: Authorizer,
			Does: "deletes its own Node, to register again with other labels and taints",
			write: func(s *state) (*write, string) {
				if s.own == nil {
					return nil, "the Node does not exist"
				}
				return deletion("nodes", s.own), ""
			},
		},
	}
}

// registering returns an attack that registers the kubelet's own Node. If that exists already, the API server says so after
// admission.
func registering(change object) func(*state) (*write, string) {
	return func(s *state) (*write, string) {
		return creation("nodes", mergePatch(s.registration(s.node), change)), ""
	}
}

func registrationAttacks() []Attack {
	return []Attack{
		{
			ID: "register-as-dedicated", Rule: "node-labels", Technique: adversaryInMiddle,
			Does:  "registers as a dedicated node, to attract the pods of a tenant",
			write: registering(metadata(object{"labels": object{"example.com/dedicated": "pci"}})),
		},
		{
			ID: "register-with-finalizer", Rule: "node-finalizers", Technique: endpointDenial,
			Does:  "registers with a finalizer, so that an administrator's delete hangs",
			write: registering(metadata(object{"finalizers": []any{stay}})),
		},
		{
			ID: "register-with-owner", Rule: "node-owner-references", Technique: persistenceAccount,
			Does: "registers as owned by an object that it can delete, to have the garbage collector delete its Node",
			write: registering(metadata(object{"ownerReferences": []any{object{
				"apiVersion": "storage.k8s.io/v1", "kind": "CSINode", "name": "nrp-attack", "uid": someUID,
			}}})),
		},
		{
			ID: "register-out-of-service", Rule: "node-taints", Technique: serviceStop,
			Does: "registers as out of service, so that its pods are deleted by force and their volumes detached",
			write: registering(object{"spec": object{"taints": []any{
				object{"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"},
			}}}),
		},
		{
			ID: "register-pod-range", Rule: "node-pod-cidrs", Technique: adversaryInMiddle,
			Does:  "registers with a range of pod addresses, to receive the traffic of pods elsewhere",
			write: registering(object{"spec": object{"podCIDR": "10.244.9.0/24", "podCIDRs": []any{"10.244.9.0/24"}}}),
		},
		{
			ID: "register-as-machine", Rule: "node-provider-id", Technique: masquerading,
			Does:  "registers with the provider ID of another machine, which a cloud controller may delete or route to",
			write: registering(object{"spec": object{"providerID": "example:///eu-1a/i-0123"}}),
		},
		{
			ID: "register-generated-name", Rule: "node-names", Technique: masquerading, Stock: NodeRestriction,
			Does: "registers a Node whose name the API server generates",
			write: func(s *state) (*write, string) {
				node := mergePatch(s.registration(s.node), metadata(object{"name": nil, "generateName": s.node + "-"}))
				return creation("nodes", node), ""
			},
		},
		{
			ID: "register-other-node", Rule: "node-self", Technique: masquerading, Stock: NodeRestriction,
			Does: "registers another Node, to report for it",
			write: func(s *state) (*write, string) {
				return creation("nodes", s.registration(s.node+"-nrp-attack")), ""
			},
		},
		{
			ID: "register-while-locked-down", Rule: "lockdown", Technique: persistenceAccount, onlyIfForbidden: true,
			Does:  "registers again while it is locked down",
			write: registering(nil),
		},
	}
}
