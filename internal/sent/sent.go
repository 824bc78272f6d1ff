// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package sent writes the condition Sent of policies for node agents: whether API servers send the writes of the users and the objects that
// a policy names. A policy that names a user whose writes nobody sends, or that no agent uses, looks like one that is never violated.
package sent

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/faultlog"
	"noderestriction.plus/internal/policystatus"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/internal/wiring"
)

const (
	// conditionType is the type of the condition.
	conditionType = "Sent"
	// maxMessage bounds its message and the note of an Event, in bytes.
	maxMessage = 1024
	// writeTimeout bounds the writes of one report.
	writeTimeout = 10 * time.Second
	// unseen is how long a policy may be in force without having evaluated a write.
	unseen = 7 * 24 * time.Hour

	cannotWrite = "Cannot write the condition Sent of the policies"
)

// The reasons of the condition.
const (
	complete       = "Complete"       // True: all writes are sent
	noWebhook      = "NoWebhook"      // False: something that the policy names is not sent
	wiringChanged  = "WiringChanged"  // False: the webhook sends less than was installed
	neverEvaluated = "NeverEvaluated" // False: all writes are sent, but in a week there was none
	wiringUnknown  = "WiringUnknown"  // Unknown
)

// Conditions writes the condition of each policy with subjects. It writes only what a status does not say yet.
type Conditions struct {
	policies client.Reader
	status   policystatus.Writer
	events   recorder.EventRecorder
	faults   *faultlog.Log
	metric   *prometheus.GaugeVec

	// missing is what the policies lacked in the previous report. During an upgrade, objects change one after the other, so something is
	// missing only if two reports in a row find it.
	missing map[version]string
}

// version is a policy as it was stored.
type version struct {
	uid        types.UID
	generation int64
}

// New returns Conditions that read policies from a reader, which may be a cache, and write their status. The metric is registered with reg.
func New(
	policies client.Reader, status client.StatusClient, events recorder.EventRecorder, reg prometheus.Registerer, log logr.Logger,
) *Conditions {
	c := &Conditions{
		policies: policies, status: policystatus.NewWriter(status, "sent"), events: events, faults: faultlog.New(log),
		metric: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "node_restriction_plus_policies_not_sent",
			Help: "Policies for node agents that are without effect, by reason: no_webhook, if no webhook sends the writes of a user or of " +
				"an object that the policy names; never_evaluated, if the policy has evaluated no write in 7 days.",
		}, []string{"reason"}),
	}
	c.publish(nil)
	reg.MustRegister(c.metric)
	return c
}

// Report takes what API servers send of the writes of node agents, or why that is not known. It must not be called concurrently.
func (c *Conditions) Report(ctx context.Context, s *wiring.Sending, unknown error) {
	writing, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	err := c.report(writing, s, unknown, time.Now())
	if ctx.Err() == nil { // not while the program ends
		c.faults.Report(cannotWrite, err)
	}
}

func (c *Conditions) report(ctx context.Context, s *wiring.Sending, unknown error, now time.Time) error {
	var list v1alpha1.NodeRestrictionPolicyList
	if err := c.policies.List(ctx, &list); err != nil {
		return err
	}
	var errs []error
	found := map[string]int{}
	missing := map[version]string{}
	for i := range list.Items {
		object := &list.Items[i]
		if object.Spec.Subjects == nil {
			errs = append(errs, c.forget(ctx, object))
			continue
		}
		want := findingOf(object, s, unknown, now)
		if !c.settled(version{object.UID, object.Generation}, want, missing) {
			continue
		}
		found[want.Reason]++
		errs = append(errs, c.write(ctx, object, want, now))
	}
	if unknown == nil {
		c.missing = missing
		c.publish(found)
	}
	return errors.Join(errs...)
}

// settled reports whether the previous report also found what a condition says of a policy, and remembers it for the next one.
func (c *Conditions) settled(of version, want metav1.Condition, remember map[version]string) bool {
	if want.Status != metav1.ConditionFalse || want.Reason == neverEvaluated {
		return true
	}
	remember[of] = want.Message
	return c.missing[of] == want.Message
}

// publish shows how many policies have each reason.
func (c *Conditions) publish(found map[string]int) {
	c.metric.WithLabelValues("no_webhook").Set(float64(found[noWebhook] + found[wiringChanged]))
	c.metric.WithLabelValues("never_evaluated").Set(float64(found[neverEvaluated]))
}

// findingOf returns the condition of a policy with subjects.
func findingOf(object *v1alpha1.NodeRestrictionPolicy, s *wiring.Sending, unknown error, now time.Time) metav1.Condition {
	of := func(status metav1.ConditionStatus, reason, format string, args ...any) metav1.Condition {
		return metav1.Condition{
			Type: conditionType, Status: status, Reason: reason, Message: text.Bound(fmt.Sprintf(format, args...), maxMessage),
			ObservedGeneration: object.Generation,
		}
	}
	if unknown != nil {
		return of(metav1.ConditionUnknown, wiringUnknown, "it is unknown which writes are sent: %v", unknown)
	}
	if missing := s.Missing(&object.Spec); len(missing) > 0 {
		return of(metav1.ConditionFalse, noWebhook, "no webhook sends the writes of: %s; set the chart's value subjects",
			strings.Join(missing, ", "))
	}
	if fault := s.Fault(); fault != "" {
		return of(metav1.ConditionFalse, wiringChanged, "%s", fault)
	}
	if since, is := unevaluated(object, now); is {
		return of(metav1.ConditionFalse, neverEvaluated,
			"no write of these users has been evaluated since %s; check that the agents use these names", since.UTC().Format(time.RFC3339))
	}
	return of(metav1.ConditionTrue, complete, "the writes of all users and objects that the policy names are sent")
}

// unevaluated reports whether a policy has evaluated nothing for long, and since when.
func unevaluated(object *v1alpha1.NodeRestrictionPolicy, now time.Time) (since time.Time, is bool) {
	status := object.Status
	if status == nil || status.Since == nil || status.ObservedGeneration != object.Generation || now.Sub(status.Since.Time) < unseen {
		return time.Time{}, false
	}
	e := status.Evaluated
	// Without a report, nothing is known.
	return status.Since.Time, e != nil && e.Generation == object.Generation && len(e.Writes) == 0
}

// write writes the condition of a policy, unless it has it. Replicas do not contradict each other at the speed of the API server, and
// errors differ by replica.
func (c *Conditions) write(ctx context.Context, object *v1alpha1.NodeRestrictionPolicy, want metav1.Condition, now time.Time) error {
	have := policystatus.Condition(object.Status, conditionType)
	if have != nil && !due(have, want, now) {
		return nil
	}
	err := c.status.WriteCondition(ctx, object, policystatus.Transitioned(want, object.Status, now))
	if err == nil && want.Status == metav1.ConditionFalse && (have == nil || have.Status != want.Status) {
		c.events.Eventf(object, nil, corev1.EventTypeWarning, want.Reason, "Verify", "%s", want.Message)
	}
	return ignored(object, err)
}

// due reports whether a condition must be written in place of another.
func due(have *metav1.Condition, want metav1.Condition, now time.Time) bool {
	switch {
	case have.ObservedGeneration > want.ObservedGeneration:
		return false
	case have.ObservedGeneration < want.ObservedGeneration:
		return true
	case have.Status == want.Status && want.Status == metav1.ConditionUnknown,
		have.Status == want.Status && have.Reason == want.Reason && have.Message == want.Message:
		return false
	}
	return policystatus.Contest(have, now) == 0
}

// forget removes the condition of a policy that has no subjects any more.
func (c *Conditions) forget(ctx context.Context, object *v1alpha1.NodeRestrictionPolicy) error {
	if policystatus.Condition(object.Status, conditionType) == nil {
		return nil
	}
	return ignored(object, c.status.RemoveConditions(ctx, object))
}

// ignored returns an error about a policy, unless the policy has changed or is gone: then the next report is about what it is then.
func ignored(object *v1alpha1.NodeRestrictionPolicy, err error) error {
	if err == nil || apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil
	}
	return fmt.Errorf("policy %q: %w", object.Name, err)
}
