// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"fmt"

	"noderestriction.plus/policy/expression"
)

// The bounds of the entries of a new Node in CEL. A registration beyond them may violate the rule. A stock kubelet's has one entry.
const (
	maxCreators = 4
	maxClaims   = 128 // labels, or annotations, that an entry owns
	maxClaim    = 320 // characters of the name of such a claim; a valid key has at most 317, and its claim two more
)

// registersOwnership says in CEL that [checkOwnership] may find a violation in the entries of a new Node. It is false for what an API
// server makes of a registration without entries: one Update entry, which owns labels and annotations of the Node and no other metadata.
// It is true for each claim of a label or an annotation that mutating admission has removed, because it would cost too much to find out
// whether a kubelet may set the key.
func registersOwnership(on *expression.Scope, entries string) string {
	keys := func(part string) string {
		isThere := expression.And(
			fmt.Sprintf("size(k) <= %d", maxClaim), "k.startsWith('f:')", "k.substring(2) in "+on.New("metadata."+part, "{}"))
		missing := expression.Not(expression.Or("k == '.'", isThere))
		return inTree("_metadata", "f:"+part, "_keys", expression.Or(
			fmt.Sprintf("size(_keys) > %d", maxClaims), expression.Exists("_keys", "k", missing)))
	}
	names := []string{".", "f:labels", "f:annotations"}
	claims := expression.Or(
		inTree("_fields", "f:spec", "_spec", expression.False),
		inTree("_fields", "f:metadata", "_metadata", expression.Or(
			fmt.Sprintf("size(_metadata) > %d", len(names)), expression.Exists("_metadata", "k", expression.Not(expression.In("k", names...))),
			keys("labels"), keys("annotations"))))
	same := expression.And("o.?manager == e.?manager", "o.?operation == e.?operation", "o.?subresource == e.?subresource")
	violates := expression.Or(fmt.Sprintf("size(_entries) > %d", maxCreators), expression.Exists("_entries", "e", expression.Or(
		"e.?operation.orValue('') == 'Apply'",
		"size("+expression.Filter("_entries", "o", same)+") > 1",
		boundTree("e.?fieldsV1.orValue({})", "_fields", claims))))
	// The name keeps this bound apart from the one in expressOwnership.
	return "[" + entries + "].exists(_entries, " + violates + ")"
}

// inTree is [boundTree] for a member of a tree of fields.
func inTree(tree, member, name, condition string) string {
	return boundTree(tree+"[?"+quote(member)+"].orValue({})", name, condition)
}

// boundTree says in CEL that a value is not a tree of fields, or that a condition is true, in which the name stands for the value. If the
// value is not a tree, an error in the condition does not matter.
func boundTree(value, name, condition string) string {
	return "[" + value + "].exists(" + name + ", " + expression.Or("type("+name+") != map", condition) + ")"
}
