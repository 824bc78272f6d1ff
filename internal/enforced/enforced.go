// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package enforced writes the condition Enforced of policies: whether API servers call the webhook, as far as this is verified. It
// combines the findings of several sources.
package enforced

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/faultlog"
	"noderestriction.plus/internal/policystatus"
	"noderestriction.plus/internal/text"
)

const (
	// condition is the type of the condition.
	condition = "Enforced"
	// maxMessage bounds the message of the condition and the note of an Event, in bytes.
	maxMessage = 1024
	// writeTimeout bounds the writes of one report.
	writeTimeout = 10 * time.Second
)

// Finding is what one source found: a status with a reason and a message, as in a condition.
type Finding struct {
	Status          metav1.ConditionStatus
	Reason, Message string
}

// Report takes the latest finding of a source.
type Report func(ctx context.Context, f Finding)

// Conditions writes the condition of each policy, and an Event when it turns from True. It writes only what a status does not say yet,
// and nothing before every source has reported. It is safe for concurrent use.
type Conditions struct {
	policies client.Reader
	status   policystatus.Writer
	events   recorder.EventRecorder
	faults   *faultlog.Log

	mu       sync.Mutex
	findings []*Finding // of each source, nil until it reports
}

// New returns Conditions that read policies from a reader, which may be a cache, and write their status.
func New(policies client.Reader, status client.StatusClient, events recorder.EventRecorder, log logr.Logger) *Conditions {
	return &Conditions{
		policies: policies, status: policystatus.NewWriter(status, "probe"), events: events, faults: faultlog.New(log),
	}
}

// Source adds a source. All sources must be added before the first one reports. In a message, their order is that of the calls.
func (c *Conditions) Source() Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	source := len(c.findings)
	c.findings = append(c.findings, nil)
	return func(ctx context.Context, f Finding) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.findings[source] = &f
		if slices.Contains(c.findings, nil) {
			return
		}
		writing, cancel := context.WithTimeout(ctx, writeTimeout)
		defer cancel()
		err := c.write(writing, combine(c.findings))
		if ctx.Err() == nil { // not while the program ends
			c.faults.Report("Cannot write the condition Enforced of the policies", err)
		}
	}
}

// combine returns one condition for all findings. Its status is the worst one, its reason that of the first source with this status.
func combine(findings []*Finding) metav1.Condition {
	status := metav1.ConditionTrue
	for _, f := range findings {
		if f.Status == metav1.ConditionFalse || f.Status == metav1.ConditionUnknown && status == metav1.ConditionTrue {
			status = f.Status
		}
	}
	combined := metav1.Condition{Type: condition, Status: status}
	var messages []string
	for _, f := range findings {
		if f.Status != status {
			continue
		}
		if combined.Reason == "" {
			combined.Reason = f.Reason
		}
		messages = append(messages, f.Message)
	}
	combined.Message = text.Bound(strings.Join(messages, "; "), maxMessage)
	return combined
}

// write writes the condition to the policies that do not have it.
func (c *Conditions) write(ctx context.Context, want metav1.Condition) error {
	var list v1alpha1.NodeRestrictionPolicyList
	if err := c.policies.List(ctx, &list); err != nil {
		return err
	}
	var errs []error
	for i := range list.Items {
		object := &list.Items[i]
		want.ObservedGeneration = object.Generation
		if !outdated(object.Status, want, time.Now()) {
			continue
		}
		err := c.writeOne(ctx, object, want)
		if err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("policy %q: %w", object.Name, err))
		}
	}
	return errors.Join(errs...)
}

// outdated reports whether the status must be written. Replicas may differ for a moment; they do not overwrite each other at the speed
// of their sources. All replicas find the same reasons for False, so that message is kept current; errors differ by replica.
func outdated(status *v1alpha1.NodeRestrictionPolicyStatus, want metav1.Condition, now time.Time) bool {
	have := policystatus.Condition(status, want.Type)
	switch {
	case have == nil:
		return true
	case have.Status == want.Status && want.Status == metav1.ConditionUnknown:
		return false
	case have.Status == want.Status && have.Message == want.Message && have.Reason == want.Reason:
		return false
	}
	return policystatus.Contest(have, now) == 0
}

func (c *Conditions) writeOne(ctx context.Context, object *v1alpha1.NodeRestrictionPolicy, want metav1.Condition) error {
	written := policystatus.Condition(object.Status, want.Type)
	want = policystatus.Transitioned(want, object.Status, time.Now())
	if err := c.status.WriteCondition(ctx, object, want); err != nil {
		return err
	}
	turned := written == nil || written.Status != want.Status
	if turned && want.Status != metav1.ConditionTrue {
		c.events.Eventf(object, nil, corev1.EventTypeWarning, want.Reason, "Verify", "%s", want.Message)
	}
	return nil
}
