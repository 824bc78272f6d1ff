// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package wiringcheck periodically compares the webhook configuration and the floor with what was installed, and reports the differences.
package wiringcheck

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	admissionregistrationclient "k8s.io/client-go/kubernetes/typed/admissionregistration/v1"
	"k8s.io/client-go/rest"

	"noderestriction.plus/internal/enforced"
	"noderestriction.plus/internal/faultlog"
	"noderestriction.plus/internal/wiring"
)

const (
	// timeout bounds one comparison.
	timeout = 20 * time.Second
	// maxListed is how many differences a message lists.
	maxListed = 4
	// maxFloor is the maximum number of policies of the floor that are compared.
	maxFloor = 256

	// changed and unreadable are the faults.
	changed    = "The webhook configuration or the floor is not as it was installed"
	unreadable = "Cannot compare the webhook configuration and the floor with what was installed"
)

// Adopter keeps a part of the objects up to date. It replaces that part in what was installed by what it wrote.
type Adopter interface {
	AdoptWebhooks(have *admissionregistrationv1.ValidatingWebhookConfiguration, installed []admissionregistrationv1.ValidatingWebhook)
	AdoptFloor(have *admissionregistrationv1.ValidatingAdmissionPolicy, installed *admissionregistrationv1.ValidatingAdmissionPolicySpec)
}

// Sent takes what API servers send of the writes of node agents, or why that is not known.
type Sent interface {
	Report(ctx context.Context, s *wiring.Sending, unknown error)
}

// Checker periodically compares a ValidatingWebhookConfiguration and its floor with what was installed. It reads each object by name, and
// needs permission to get them. It is a Runnable for a manager.
type Checker struct {
	client   admissionregistrationclient.AdmissionregistrationV1Interface
	name     string
	interval time.Duration
	report   enforced.Report
	sent     Sent
	metrics  *metrics
	faults   *faultlog.Log
	adopters []Adopter

	// previous are the differences of the last comparison. During an upgrade, objects change one after the other, so a difference
	// counts only if two comparisons in a row find it.
	previous []wiring.Difference
}

// New returns a Checker for the configuration with this name. It also reports what the configuration sends of the writes of node agents.
// Metrics are registered with reg. Adopters may keep a part of the objects up to date.
func New(
	config *rest.Config, name string, interval time.Duration, report enforced.Report, sent Sent, reg prometheus.Registerer, log logr.Logger,
	adopters ...Adopter,
) (*Checker, error) {
	client, err := admissionregistrationclient.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return &Checker{
		client: client, name: name, interval: interval, report: report, sent: sent, metrics: newMetrics(reg), faults: faultlog.New(log),
		adopters: adopters,
	}, nil
}

// NeedLeaderElection implements the manager's LeaderElectionRunnable: every replica compares.
func (*Checker) NeedLeaderElection() bool { return false }

// Start compares until ctx ends. It returns nil.
func (c *Checker) Start(ctx context.Context) error {
	// The error is that ctx has ended.
	_ = wait.PollUntilContextCancel(ctx, c.interval, false, func(ctx context.Context) (bool, error) {
		c.once(ctx)
		return false, nil
	})
	return nil
}

func (c *Checker) once(ctx context.Context) {
	reading, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	found, sending, err := c.compare(reading)
	if ctx.Err() != nil {
		return
	}
	if sending != nil {
		c.sent.Report(ctx, sending, nil)
	} else {
		c.sent.Report(ctx, nil, err)
	}
	c.faults.Report(unreadable, err)
	c.metrics.success.Set(0)
	if err == nil {
		c.metrics.success.Set(1)
	}
	if !c.settled(found) {
		return
	}
	if err == nil || len(found) > 0 {
		c.metrics.set(found)
		c.faults.Report(changed, list(found))
	}
	c.report(ctx, findingOf(found, err))
}

// settled reports whether the last comparison also found these differences, and remembers them. Until then, what was reported before
// stands: a replica that has just started does not contradict the others.
func (c *Checker) settled(found []wiring.Difference) bool {
	isNew := func(d wiring.Difference) bool { return !slices.Contains(c.previous, d) }
	settled := !slices.ContainsFunc(found, isNew)
	c.previous = found
	return settled
}

// list returns an error that lists differences, nil for no differences.
func list(found []wiring.Difference) error {
	if len(found) == 0 {
		return nil
	}
	var texts []string
	for _, d := range found[:min(len(found), maxListed)] {
		texts = append(texts, d.Text)
	}
	if left := len(found) - maxListed; left > 0 {
		texts = append(texts, fmt.Sprintf("and %d more differences", left))
	}
	return errors.New(strings.Join(texts, "; "))
}

// findingOf returns what differences, and an error during the comparison, say about enforcement.
func findingOf(found []wiring.Difference, err error) enforced.Finding {
	var weaker, other []wiring.Difference
	for _, d := range found {
		if d.Weaker {
			weaker = append(weaker, d)
		} else {
			other = append(other, d)
		}
	}
	switch {
	case len(weaker) > 0:
		return enforced.Finding{Status: metav1.ConditionFalse, Reason: "WiringChanged", Message: list(weaker).Error()}
	case err != nil:
		return enforced.Finding{
			Status: metav1.ConditionUnknown, Reason: "WiringUnknown",
			Message: "it is unknown whether the webhook configuration and the floor are as they were installed: " + err.Error(),
		}
	case len(other) > 0:
		return enforced.Finding{
			Status: metav1.ConditionTrue, Reason: "WiringComplete",
			Message: "all writes are sent as installed, but: " + list(other).Error(),
		}
	}
	return enforced.Finding{
		Status: metav1.ConditionTrue, Reason: "WiringComplete", Message: "the webhook configuration and the floor are as they were installed",
	}
}

// compare reads the objects and returns their differences, and what the configuration sends of the writes of node agents, nil if that is
// unknown. It returns what it found also with an error.
func (c *Checker) compare(ctx context.Context) ([]wiring.Difference, *wiring.Sending, error) {
	configuration, err := c.client.ValidatingWebhookConfigurations().Get(ctx, c.name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return []wiring.Difference{wiring.MissingConfiguration(c.name)}, &wiring.Sending{}, nil
	}
	if err != nil {
		return nil, nil, err
	}
	want, err := wiring.Decode[wiring.Installed](configuration.Annotations)
	if err != nil {
		return nil, nil, fmt.Errorf("ValidatingWebhookConfiguration %q: %w", c.name, err)
	}
	for _, a := range c.adopters {
		a.AdoptWebhooks(configuration, want.Webhooks)
	}
	found := wiring.CompareWebhooks(want.Webhooks, configuration.Webhooks)
	sending := wiring.SendingOf(want, configuration.Webhooks, found)
	var errs []error
	for _, name := range want.Floor[:min(len(want.Floor), maxFloor)] {
		more, err := c.compareFloor(ctx, name)
		found = append(found, more...)
		errs = append(errs, err)
	}
	return found, sending, errors.Join(errs...)
}

// compareFloor compares one policy of the floor and its binding.
func (c *Checker) compareFloor(ctx context.Context, name string) ([]wiring.Difference, error) {
	policies, policyErr := compareObject(ctx, "ValidatingAdmissionPolicy", name, c.client.ValidatingAdmissionPolicies().Get,
		func(
			have *admissionregistrationv1.ValidatingAdmissionPolicy, want *admissionregistrationv1.ValidatingAdmissionPolicySpec,
		) []wiring.Difference {
			for _, a := range c.adopters {
				a.AdoptFloor(have, want)
			}
			return wiring.ComparePolicy(name, want, &have.Spec)
		})
	bindings, bindingErr := compareObject(ctx, "ValidatingAdmissionPolicyBinding", name, c.client.ValidatingAdmissionPolicyBindings().Get,
		func(
			have *admissionregistrationv1.ValidatingAdmissionPolicyBinding, want *admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec,
		) []wiring.Difference {
			return wiring.CompareBinding(name, want, &have.Spec)
		})
	return append(policies, bindings...), errors.Join(policyErr, bindingErr)
}

// compareObject reads an object of the floor and compares it with the spec in its annotation.
func compareObject[O metav1.Object, S any](
	ctx context.Context, kind, name string, get func(context.Context, string, metav1.GetOptions) (O, error),
	compare func(O, *S) []wiring.Difference,
) ([]wiring.Difference, error) {
	have, err := get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return []wiring.Difference{wiring.MissingFromFloor(kind, name)}, nil
	}
	if err != nil {
		return nil, err
	}
	want, err := wiring.Decode[S](have.GetAnnotations())
	if err != nil {
		return nil, fmt.Errorf("%s %q: %w", kind, name, err)
	}
	return compare(have, want), nil
}
