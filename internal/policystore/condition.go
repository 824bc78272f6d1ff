// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package policystore

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/policystatus"
)

const (
	conditionReady = "Ready"
	reasonCompiled = "Compiled"
	reasonInvalid  = "InvalidPolicy"

	// maxErrors is how many field errors or warnings a message lists, each of at most maxError bytes.
	maxErrors = 16
	maxError  = 256

	// maxWarnings is how many warnings a message lists, each of at most maxError bytes.
	maxWarnings = 4

	// partly begins the message if no earlier generation is left to be in force.
	partly = "only the sections that compile are enforced: "
)

// condition is what the status says of a policy.
func (h *policyState) condition() metav1.Condition {
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
	texts := make([]string, len(errs))
	for i, err := range errs {
		texts[i] = err.Error()
	}
	return list(texts)
}

// list lists texts in at most about 4 KiB.
func list(texts []string) string {
	var b strings.Builder
	for i, text := range texts {
		if i == maxErrors {
			fmt.Fprintf(&b, "; and %d more", len(texts)-maxErrors)
			break
		}
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(cut(text, maxError))
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
	have := policystatus.Condition(status, want.Type)
	switch {
	case have == nil || have.ObservedGeneration < want.ObservedGeneration:
		return true, 0
	case have.ObservedGeneration > want.ObservedGeneration:
		return false, 0 // another replica has seen a generation that is still on its way to this one
	case have.Status != want.Status || have.Reason != want.Reason:
		wait := policystatus.Contest(have, now)
		return wait == 0, wait
	}
	// Replicas may hold different generations. The status speaks of the one that enforces least.
	weaker := strings.HasPrefix(want.Message, partly) && !strings.HasPrefix(have.Message, partly)
	return weaker || status.ObservedGeneration != want.ObservedGeneration, 0
}

// sinceIn returns what status.since must say of the generation that is held, and whether the status says something else: the generation
// is in force since the last replica changed to it.
func (h *policyState) sinceIn(status *v1alpha1.NodeRestrictionPolicyStatus) (since metav1.Time, differs bool) {
	own := metav1.NewTime(h.since.Truncate(time.Second)) // an API server keeps seconds
	if status == nil || status.Since == nil || status.ObservedGeneration != h.generation {
		return own, true
	}
	if h.replaces && status.Since.Before(&own) {
		return own, true
	}
	return *status.Since, false
}
