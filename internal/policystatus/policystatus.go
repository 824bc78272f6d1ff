// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package policystatus writes the status of policies. Every replica writes, none leads: each part of a status has a field owner of
// its own, is applied to the object as it was read, and what other owners wrote stays.
//
// It builds the few fields by hand: controller-gen would generate apply configurations for 60 types, and it needs only 3.
package policystatus

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/program"
)

// ContestInterval is how long what another replica says of a policy stands before it is contradicted. Replicas of different
// versions can disagree for as long as an upgrade takes; they must not overwrite each other at the speed of the API server.
const ContestInterval = time.Minute

// Writer writes one part of the status of policies.
type Writer struct {
	client client.StatusClient
	owner  client.FieldOwner
}

// NewWriter returns a Writer that owns what it writes as the program's name with the suffix.
func NewWriter(c client.StatusClient, suffix string) Writer {
	return Writer{client: c, owner: client.FieldOwner(program.Name + "-" + suffix)}
}

// WriteCondition writes a condition of an object. It returns a conflict if the object is not the one that was read any more.
func (w Writer) WriteCondition(ctx context.Context, object *v1alpha1.NodeRestrictionPolicy, c metav1.Condition) error {
	return w.apply(ctx, object, map[string]any{"conditions": conditions(c)})
}

// RemoveConditions removes the conditions of an object that the writer owns. It returns a conflict if the object is not the one that was
// read any more.
func (w Writer) RemoveConditions(ctx context.Context, object *v1alpha1.NodeRestrictionPolicy) error {
	return w.apply(ctx, object, map[string]any{})
}

// WriteObserved is [Writer.WriteCondition] for the condition whose generation is status.observedGeneration, with status.since of that
// generation.
func (w Writer) WriteObserved(
	ctx context.Context, object *v1alpha1.NodeRestrictionPolicy, c metav1.Condition, since metav1.Time,
) error {
	return w.apply(ctx, object, map[string]any{
		"conditions": conditions(c), "observedGeneration": c.ObservedGeneration, "since": since.UTC().Format(time.RFC3339),
	})
}

// WriteViolations writes the violations of an object, all of them. It returns a conflict if the object is not the one that was
// read any more.
func (w Writer) WriteViolations(ctx context.Context, object *v1alpha1.NodeRestrictionPolicy, v *v1alpha1.Violations) error {
	violations, err := runtime.DefaultUnstructuredConverter.ToUnstructured(v)
	if err != nil {
		return err
	}
	return w.apply(ctx, object, map[string]any{"violations": violations})
}

// WriteEvaluated writes the evaluated writes of an object, all of them. It returns a conflict if the object is not the one that was
// read any more.
func (w Writer) WriteEvaluated(ctx context.Context, object *v1alpha1.NodeRestrictionPolicy, e *v1alpha1.Evaluated) error {
	evaluated, err := runtime.DefaultUnstructuredConverter.ToUnstructured(e)
	if err != nil {
		return err
	}
	return w.apply(ctx, object, map[string]any{"evaluated": evaluated})
}

func (w Writer) apply(ctx context.Context, object *v1alpha1.NodeRestrictionPolicy, status map[string]any) error {
	applied := client.ApplyConfigurationFromUnstructured(&unstructured.Unstructured{Object: map[string]any{
		"apiVersion": v1alpha1.GroupVersion().String(),
		"kind":       v1alpha1.Kind,
		"metadata": map[string]any{
			"name": object.Name, "uid": string(object.UID), "resourceVersion": object.ResourceVersion,
		},
		"status": status,
	}})
	return w.client.Status().Apply(ctx, applied, w.owner, client.ForceOwnership)
}

func conditions(c metav1.Condition) []any {
	return []any{map[string]any{
		"type": c.Type, "status": string(c.Status), "reason": c.Reason, "message": c.Message,
		"observedGeneration": c.ObservedGeneration,
		"lastTransitionTime": c.LastTransitionTime.UTC().Format(time.RFC3339),
	}}
}

// Condition returns a condition of a status, or nil if the status does not have it. The status may be nil.
func Condition(status *v1alpha1.NodeRestrictionPolicyStatus, conditionType string) *metav1.Condition {
	if status == nil {
		return nil
	}
	return meta.FindStatusCondition(status.Conditions, conditionType)
}

// Contest returns how long a condition that another replica wrote still stands before it may be contradicted, at most
// [ContestInterval]. 0: it may be contradicted now.
func Contest(have *metav1.Condition, now time.Time) time.Duration {
	return max(0, min(ContestInterval-now.Sub(have.LastTransitionTime.Time), ContestInterval))
}

// Transitioned returns the condition with the time at which its status last changed.
func Transitioned(want metav1.Condition, status *v1alpha1.NodeRestrictionPolicyStatus, now time.Time) metav1.Condition {
	want.LastTransitionTime = metav1.NewTime(now)
	if have := Condition(status, want.Type); have != nil && have.Status == want.Status {
		want.LastTransitionTime = have.LastTransitionTime
	}
	return want
}
