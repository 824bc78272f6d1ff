// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package follow

import (
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"noderestriction.plus/internal/program"
	"noderestriction.plus/internal/wiring"
)

// AdoptWebhooks replaces, in what the chart says to have installed, the match conditions that the program wrote, or is about to write.
// What somebody else changed stays a difference. It is safe for concurrent use.
func (k *Keeper) AdoptWebhooks(
	have *admissionregistrationv1.ValidatingWebhookConfiguration, installed []admissionregistrationv1.ValidatingWebhook,
) {
	c := k.current.Load()
	if c == nil {
		return
	}
	found := conditionsOf(have.Webhooks, c.Webhooks)
	another := byAnotherVersion(annotated(have), digestOf(found))
	for i := range installed {
		name := installed[i].Name
		if list, exists := found[name]; exists && (another || slices.Equal(list, c.Webhooks[name])) {
			installed[i].MatchConditions = digested(list)
		}
	}
}

// AdoptFloor does the same for a policy of the floor.
func (k *Keeper) AdoptFloor(
	have *admissionregistrationv1.ValidatingAdmissionPolicy, installed *admissionregistrationv1.ValidatingAdmissionPolicySpec,
) {
	c := k.current.Load()
	if c == nil || c.Floor == nil || have.Name != k.floorName {
		return
	}
	found := floorOf(have)
	if !equality.Semantic.DeepEqual(&found, c.Floor) && !byAnotherVersion(annotated(have), digestOf(&found)) {
		return
	}
	installed.Variables, installed.Validations, installed.AuditAnnotations = nil, nil, nil
	for i := range found.Variables {
		v := *found.Variables[i].DeepCopy()
		v.Expression = wiring.Digest(v.Expression)
		installed.Variables = append(installed.Variables, v)
	}
	for i := range found.Validations {
		v := *found.Validations[i].DeepCopy()
		v.Expression = wiring.Digest(v.Expression)
		installed.Validations = append(installed.Validations, v)
	}
	for i := range found.AuditAnnotations {
		a := *found.AuditAnnotations[i].DeepCopy()
		a.ValueExpression = wiring.Digest(a.ValueExpression)
		installed.AuditAnnotations = append(installed.AuditAnnotations, a)
	}
}

// byAnotherVersion reports whether a replica of another version wrote what has the digest, as during an upgrade.
func byAnotherVersion(w written, digest string) bool {
	return w.Digest == digest && w.Version != program.Version()
}
