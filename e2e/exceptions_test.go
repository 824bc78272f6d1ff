// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e_test

// exception is the text with which the API server refuses a fixture's write before it calls the webhook. Empty: it calls the webhook.
type exception struct {
	open  string // without NodeRestriction
	stock string
	// since is the minor release of Kubernetes 1 since which NodeRestriction refuses the write. An older one does not, and the answer of an
	// API server with it is the same as without.
	since int
}

// everywhere returns an exception for both API servers.
func everywhere(refusal string) exception { return exception{open: refusal, stock: refusal} }

// inTree returns an exception for a refusal by NodeRestriction.
func inTree(refusal string) exception { return exception{stock: refusal} }

// notOurs returns the fixtures whose write an API server refuses itself: as invalid, or by NodeRestriction, which runs first. All
// other writes reach the webhook from both servers.
func notOurs() map[string]exception {
	const (
		changesLabels = "is not allowed to modify labels"
		setsLabels    = "is not allowed to set the following labels"
		changesTaints = "is not allowed to modify taints"
		changesOwners = "is not allowed to modify ownerReferences"
		podLabels     = "cannot update labels through pod status"
		anothersNode  = "is not allowed to modify node"
		refers        = "can not create pods that reference"
		setsPriority  = "must not be provided in pod spec"
	)
	return map[string]exception{
		"node-labels/allow/differs-in-case-of-hostname":                  inTree(anothersNode),
		"node-labels/allow/pattern-frees-reserved-label":                 inTree(setsLabels),
		"node-labels/deny/adds-reserved-label":                           inTree(changesLabels),
		"node-labels/deny/adds-reserved-label-with-driver":               inTree(changesLabels),
		"node-labels/deny/adds-role-through-status":                      inTree(changesLabels),
		"node-labels/deny/adds-role-with-empty-value":                    inTree(changesLabels),
		"node-labels/deny/asterisk-does-not-free-reserved-labels":        inTree(setsLabels),
		"node-labels/deny/registers-with-restricted-prefix":              inTree(setsLabels),
		"node-labels/deny/registers-with-role":                           inTree(setsLabels),
		"node-labels/deny/value-does-not-free-reserved-labels":           inTree(setsLabels),
		"node-labels/deny/registers-with-subdomain-of-restricted-prefix": inTree(setsLabels),
		"node-owner-references/allow/moves-owners":                       inTree(changesOwners),
		"node-owner-references/deny/adds-owner":                          inTree(changesOwners),
		"node-owner-references/deny/changes-owner":                       inTree(changesOwners),
		"node-owner-references/deny/removes-owner":                       inTree(changesOwners),
		"node-taints/allow/leaves-taints":                                inTree(changesTaints), // their order changes
		"node-taints/deny/changes-taint":                                 inTree(changesTaints),
		"node-taints/deny/removes-taint":                                 inTree(changesTaints),
		"pod-metadata/deny/changes-everything-at-once":                   inTree(podLabels),
		"pod-metadata/deny/changes-label":                                inTree(podLabels),
		"set/allow/labels-of-its-own-node-decide":                        inTree(anothersNode),
		"set/allow/written-labels-do-not-decide":                         inTree(changesLabels),
		"set/deny/labels-of-another-node-do-not-decide":                  inTree(anothersNode),
		"set/deny/stored-labels-match":                                   inTree(changesLabels),

		"mirror-pod-names/allow/named-after-node-in-upper-case": {
			open: "a lowercase RFC 1123 subdomain", stock: `node "N1.example" not found`,
		},
		"mirror-pod-references/allow/has-an-injected-pull-secret": inTree(refers),
		"mirror-pod-references/deny/claims-a-resource":            {open: "do not support resource claims", stock: refers},
		"mirror-pod-references/deny/has-a-csi-volume":             {stock: refers, since: 34},
		"mirror-pod-references/deny/has-a-glusterfs-volume":       {stock: refers, since: 34},
		"mirror-pod-references/deny/has-an-ephemeral-volume":      {stock: refers, since: 34},
		"mirror-pod-references/deny/projects-a-certificate":       inTree(refers),
		"mirror-pod-references/deny/projects-a-token":             {open: "when serviceAccountName is not set", stock: refers, since: 34},
		"mirror-pod-references/deny/projects-a-trust-bundle":      inTree(refers),

		"pod-metadata/deny/adds-annotation-with-empty-value": everywhere("must be a 32bit integer"),
		"set/deny/hostile-text":                              everywhere("metadata.finalizers: Invalid value"),

		"mirror-pod-priority-classes/allow/has-listed-class":                       everywhere("no PriorityClass with name"),
		"mirror-pod-priority-classes/deny/has-another-class":                       everywhere("no PriorityClass with name"),
		"mirror-pod-priority-classes/allow/has-the-highest-priority-of-users":      everywhere(setsPriority),
		"mirror-pod-priority-classes/deny/has-a-system-priority-elsewhere":         everywhere(setsPriority),
		"node-names/deny/name-is-generated":                                        inTree(anothersNode),
		"baseline-certificate-signing-requests/deny/asks-with-what-cannot-be-read": everywhere("spec.request: Invalid value"),
		"baseline-pods/deny/creates-with-claim":                                    everywhere("do not support resource claims"),
		"baseline-pods/deny/creates-with-projected-token":                          everywhere("when serviceAccountName is not set"),
		"baseline-resource-slices/deny/creates-slice-of-no-node":                   everywhere("exactly one of"),

		"unverified/deny/mirror-pod": everywhere("node-restriction-plus.pod-quantities"), // by the floor

		"node-self/deny/deletes-another-node":          everywhere(`cannot delete resource "nodes"`), // by the authorizer
		"node-self/deny/registers-another-node":        inTree(anothersNode),
		"node-self/deny/registers-with-generated-name": inTree(anothersNode),
		"node-self/deny/writes-another-node":           inTree(anothersNode),
		"pod-self/deny/deletes-on-another-node":        inTree("can only delete pods with spec.nodeName set to itself"),
		"pod-self/deny/evicts-on-another-node":         inTree("can only evict pods with spec.nodeName set to itself"),
		"pod-self/deny/reports-for-another-node":       inTree("can only update pod status for pods with spec.nodeName"),
	}
}

// notSent returns the fixtures whose write cannot be sent to this API server, with the reason.
func notSent() map[string]string {
	const (
		unknown = "the API server drops unknown fields"
		off     = "the API server drops the field because its feature is off"
		drawn   = "the message has a name that the API server generates"
		removed = "the API server drops the obsolete field"
		pending = "a deletion without options is already pending, so the API server does nothing, and calls no webhook"
		fixed   = "the external ID of a stored Node may not change, so the test cannot store one"
	)
	return map[string]string{
		"baseline-nodes/deny/changes-config-source":                   removed,
		"baseline-nodes/deny/registers-with-config-source":            removed,
		"baseline-nodes/deny/registers-with-empty-config-source":      removed,
		"baseline-csi-nodes/deny/creates-csinode-with-generated-name": drawn,
		"baseline-leases/deny/creates-lease-with-generated-name":      drawn,
		"baseline-nodes/deny/registers-with-generated-name":           drawn,
		"baseline-pods/deny/changes-claim-statuses":                   off, // the feature of one of them
		"baseline-pods/deny/creates-with-unknown-volume":              unknown,
		"baseline-pods/deny/evicts-unknown-pod":                       "the API server does not find the pod, and calls no webhook",
		"mirror-pod-references/deny/joins-scheduling-group":           off,
		"pod-containers/allow/reports-its-ephemeral-container":        "no pod is created with an ephemeral container",
		"pod-deletion/deny/deletes-without-options":                   pending,
		"node-other-spec/allow/leaves-external-id":                    fixed,
		"node-other-spec/deny/changes-external-id":                    fixed,
		"node-other-spec/deny/removes-external-id":                    fixed,
		"node-other-spec/allow/leaves-newer-field":                    unknown,
		"node-other-spec/deny/adds-false":                             unknown,
		"node-other-spec/deny/changes-a-large-number":                 unknown,
		"node-other-spec/allow/registers-with-newer-field":            unknown,
		"node-other-spec/deny/changes-newer-field":                    unknown,
		"node-unknown-fields/allow/leaves-unknown-field":              unknown,
		"node-unknown-fields/deny/adds-unknown-field":                 unknown,
		"node-unknown-fields/deny/changes-unknown-field-in-list":      unknown,
		"node-unknown-fields/deny/removes-unknown-field":              unknown,
		"node-unknown-fields/deny/moves-it":                           unknown,
		"node-unknown-fields/allow/moves-the-condition-that-has-it":   unknown,
		"pod-unknown-fields/allow/leaves-unknown-field":               unknown,
		"pod-unknown-fields/deny/adds-unknown-field":                  unknown,
		"pod-ips/deny/ipv4-mapped":                                    "newer API servers refuse the address themselves",
		"unverified/allow/copies-what-a-tenant-wrote":                 "the floor refuses such a pod",
	}
}

// sinceMinor returns the fixtures with a field that API servers have only since a minor release of Kubernetes 1: older ones drop it, or
// refuse the write. Fixtures of a resource that is newer need no entry.
func sinceMinor() map[string]int {
	const (
		resize           = 33 // pods/resize
		observed         = 34 // status.observedGeneration of pods, by default
		claims           = 34 // devices are claimed
		declaredFeatures = 36 // status.declaredFeatures of Nodes, by default
		nodeAllocatable  = 36 // status.nodeAllocatableResourceClaimStatuses of pods
		certificates     = 37 // projected certificates and trust bundles, by default
		csiStatus        = 37 // csinodes/status
		podLevel         = 35 // status.allocatedResources and status.resources of pods
	)
	return map[string]int{
		"baseline-csi-nodes/deny/writes-status":                            csiStatus,
		"baseline-pods/allow/leaves-claim-statuses":                        nodeAllocatable,
		"baseline-pods/allow/writes-claim-statuses-back":                   nodeAllocatable,
		"baseline-pods/deny/creates-with-claim":                            claims,
		"baseline-pods/deny/resizes-a-pod":                                 resize,
		"mirror-pod-references/deny/claims-a-resource":                     claims,
		"mirror-pod-references/deny/projects-a-certificate":                certificates,
		"mirror-pod-references/deny/projects-a-trust-bundle":               certificates,
		"node-features/allow/declares-another-listed-feature":              declaredFeatures,
		"node-features/allow/declares-any":                                 declaredFeatures,
		"node-features/allow/declares-listed-feature":                      declaredFeatures,
		"node-features/deny/declares-too-many":                             declaredFeatures,
		"node-features/deny/declares-unlisted-feature":                     declaredFeatures,
		"pod-observed-generation/allow/condition-observes-the-pod":         observed,
		"pod-observed-generation/allow/leaves-what-observes-too-much":      observed,
		"pod-observed-generation/allow/mirror-pod-observes-its-manifest":   observed,
		"pod-observed-generation/allow/observes-the-pod":                   observed,
		"pod-observed-generation/deny/condition-observes-more-than-before": observed,
		"pod-observed-generation/deny/condition-observes-the-future":       observed,
		"pod-observed-generation/deny/observes-the-future":                 observed,
		"unverified/allow/copies-a-small-exponent":                         podLevel,
		"unverified/deny/pod-pod-level":                                    podLevel,
		"unverified/deny/pod-pod-level-limits":                             podLevel,
	}
}
