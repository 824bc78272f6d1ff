package e2e_test

// exception says that the API server refuses a fixture's write before it asks us, and what it says then. Empty: it asks
// us.
type exception struct {
	open  string // without NodeRestriction
	stock string
}

// everywhere is an exception on every API server.
func everywhere(refusal string) exception { return exception{open: refusal, stock: refusal} }

// inTree is a refusal by NodeRestriction.
func inTree(refusal string) exception { return exception{stock: refusal} }

// notOurs are the fixtures whose write an API server refuses by itself: as invalid, or by NodeRestriction, which comes
// first. All others reach us, on either server.
func notOurs() map[string]exception {
	const (
		changesLabels = "is not allowed to modify labels"
		setsLabels    = "is not allowed to set the following labels"
		changesTaints = "is not allowed to modify taints"
		changesOwners = "is not allowed to modify ownerReferences"
		podLabels     = "cannot update labels through pod status"
		anothersNode  = "is not allowed to modify node"
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
		"node-labels/deny/registers-with-subdomain-of-restricted-prefix": inTree(setsLabels),
		"node-owner-references/deny/adds-owner":                          inTree(changesOwners),
		"node-owner-references/deny/changes-owner":                       inTree(changesOwners),
		"node-owner-references/deny/removes-owner":                       inTree(changesOwners),
		"node-taints/allow/leaves-taints":                                inTree(changesTaints), // their order changes
		"node-taints/deny/changes-taint":                                 inTree(changesTaints),
		"node-taints/deny/removes-taint":                                 inTree(changesTaints),
		"pod-metadata/deny/changes-everything-at-once":                   inTree(podLabels),
		"pod-metadata/deny/changes-label":                                inTree(podLabels),
		"set/allow/written-labels-do-not-decide":                         inTree(changesLabels),
		"set/deny/labels-of-another-node-do-not-decide":                  inTree(anothersNode),
		"set/deny/stored-labels-match":                                   inTree(changesLabels),

		"mirror-pod-names/allow/named-after-node-in-upper-case": {
			open: "a lowercase RFC 1123 subdomain", stock: `node "N1.example" not found`,
		},
		"pod-metadata/deny/adds-annotation-with-empty-value": everywhere("must be a 32bit integer"),
		"set/deny/hostile-text":                              everywhere("metadata.finalizers: Invalid value"),
	}
}
