// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/policystatus"
)

const (
	// conditionEnforced is the condition of a policy that says whether the API server asks about kubelets at all.
	conditionEnforced = "Enforced"
	// maxMessage bounds the message of a condition and the note of an Event, in bytes.
	maxMessage = 1024
)

// Conditions reports to the policies: each has the condition Enforced, and an Event when that turns from True. It writes
// only what a status does not say yet.
type Conditions struct {
	policies client.Reader
	status   policystatus.Writer
	events   recorder.EventRecorder
}

// NewConditions returns a Reporter that reads policies from a reader, which may be a cache, and writes their status.
func NewConditions(policies client.Reader, status client.StatusClient, events recorder.EventRecorder) *Conditions {
	return &Conditions{policies: policies, status: policystatus.NewWriter(status, "probe"), events: events}
}

// Report implements [Reporter].
func (c *Conditions) Report(ctx context.Context, result Result, detail string) error {
	var list v1alpha1.NodeRestrictionPolicyList
	if err := c.policies.List(ctx, &list); err != nil {
		return err
	}
	var errs []error
	for i := range list.Items {
		object, want := &list.Items[i], conditionOf(result, detail)
		want.ObservedGeneration = object.Generation
		if !outdated(object.Status, want, time.Now()) {
			continue
		}
		err := c.write(ctx, object, want)
		if err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("policy %q: %w", object.Name, err))
		}
	}
	return errors.Join(errs...)
}

func conditionOf(result Result, detail string) metav1.Condition {
	condition := metav1.Condition{Type: conditionEnforced, Message: detail[:min(len(detail), maxMessage)]}
	switch result {
	case Denied:
		condition.Status, condition.Reason = metav1.ConditionTrue, "ProbeDenied"
	case Allowed:
		condition.Status, condition.Reason = metav1.ConditionFalse, "ProbeAllowed"
	default:
		condition.Status, condition.Reason = metav1.ConditionUnknown, "ProbeFailed"
	}
	return condition
}

// outdated reports whether the status must be written. Replicas may differ for a moment; they do not overwrite each other at
// the speed of the probe.
func outdated(status *v1alpha1.NodeRestrictionPolicyStatus, want metav1.Condition, now time.Time) bool {
	have := policystatus.Condition(status, want.Type)
	if have == nil || have.Status == want.Status {
		return have == nil
	}
	return policystatus.Contest(have, now) == 0
}

func (c *Conditions) write(
	ctx context.Context, object *v1alpha1.NodeRestrictionPolicy, want metav1.Condition,
) error {
	want = policystatus.Transitioned(want, object.Status, time.Now())
	if err := c.status.WriteCondition(ctx, object, want); err != nil {
		return err
	}
	if want.Status != metav1.ConditionTrue {
		c.events.Eventf(object, nil, corev1.EventTypeWarning, want.Reason, "Probe", "%s", want.Message)
	}
	return nil
}
