// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package policystore

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
)

const (
	conditionReady = "Ready"
	reasonCompiled = "Compiled"
	reasonInvalid  = "InvalidPolicy"

	// maxErrors is how many field errors a message lists, each of at most maxError bytes.
	maxErrors = 16
	maxError  = 256

	// maxWarnings is how many warnings a message lists, each of at most maxError bytes.
	maxWarnings = 4

	// partly begins the message if no earlier generation is left to be in force.
	partly = "only the sections that compile are enforced: "

	// contestInterval is how long a verdict of another replica on the same generation stands before it is
	// contradicted. Replicas of different versions can disagree for as long as an upgrade takes; they must not
	// overwrite each other at the speed of the API server.
	contestInterval = time.Minute
)

// condition is what the status says of a policy.
func (h *holding) condition() metav1.Condition {
	c := metav1.Condition{
		Type: conditionReady, Status: metav1.ConditionTrue, Reason: reasonCompiled, ObservedGeneration: h.generation,
		Message: "the policy is enforced as written",
	}
	for i, warning := range h.warnings {
		if i == maxWarnings {
			c.Message += fmt.Sprintf("; and %d more warnings", len(h.warnings)-maxWarnings)
			break
		}
		c.Message += "; warning: " + cut(warning, maxError)
	}
	if len(h.errs) > 0 {
		c.Status, c.Reason = metav1.ConditionFalse, reasonInvalid
		c.Message = partly + summary(h.errs)
		if h.good != nil {
			c.Message = fmt.Sprintf("generation %d stays in force: %s", h.goodGeneration, summary(h.errs))
		}
	}
	return c
}

// summary lists the errors in at most about 4 KiB.
func summary(errs field.ErrorList) string {
	var b strings.Builder
	for i, err := range errs {
		if i == maxErrors {
			fmt.Fprintf(&b, "; and %d more", len(errs)-maxErrors)
			break
		}
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(cut(err.Error(), maxError))
	}
	return b.String()
}

// cut shortens a text to at most limit bytes, at a character.
func cut(s string, limit int) string {
	const mark = "..."
	if len(s) <= limit {
		return s
	}
	end := limit - len(mark)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + mark
}

// plan says whether want must be written to the status. If a wait is returned it must be asked again after that.
//
// All replicas write, none leads: each writes only what the status does not say yet.
func plan(
	status *v1alpha1.NodeRestrictionPolicyStatus, want metav1.Condition, now time.Time,
) (write bool, wait time.Duration) {
	if status == nil {
		return true, 0
	}
	have := meta.FindStatusCondition(status.Conditions, want.Type)
	switch {
	case have == nil || have.ObservedGeneration < want.ObservedGeneration:
		return true, 0
	case have.ObservedGeneration > want.ObservedGeneration:
		return false, 0 // another replica has seen a generation that is still on its way to this one
	case have.Status != want.Status || have.Reason != want.Reason:
		if wait := contestInterval - now.Sub(have.LastTransitionTime.Time); wait > 0 {
			return false, min(wait, contestInterval)
		}
		return true, 0
	}
	// Replicas may hold different generations. The status speaks of the one that enforces least.
	weaker := strings.HasPrefix(want.Message, partly) && !strings.HasPrefix(have.Message, partly)
	return weaker || status.ObservedGeneration != want.ObservedGeneration, 0
}

// transitioned sets when the condition's status last changed.
func transitioned(want metav1.Condition, status *v1alpha1.NodeRestrictionPolicyStatus, now time.Time) metav1.Condition {
	want.LastTransitionTime = metav1.NewTime(now)
	if status != nil {
		if have := meta.FindStatusCondition(status.Conditions, want.Type); have != nil && have.Status == want.Status {
			want.LastTransitionTime = have.LastTransitionTime
		}
	}
	return want
}

// statusOf is what is applied to the status of an object. It holds only if the object is still the one that was read.
func statusOf(object *v1alpha1.NodeRestrictionPolicy, c metav1.Condition) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": v1alpha1.GroupVersion().String(),
		"kind":       v1alpha1.Kind,
		"metadata": map[string]any{
			"name": object.Name, "uid": string(object.UID), "resourceVersion": object.ResourceVersion,
		},
		"status": map[string]any{
			"observedGeneration": c.ObservedGeneration,
			"conditions": []any{map[string]any{
				"type": c.Type, "status": string(c.Status), "reason": c.Reason, "message": c.Message,
				"observedGeneration": c.ObservedGeneration,
				"lastTransitionTime": c.LastTransitionTime.UTC().Format(time.RFC3339),
			}},
		},
	}}
}
