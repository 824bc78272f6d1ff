// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package follow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/conditions"
	"noderestriction.plus/internal/faultlog"
	"noderestriction.plus/internal/policystatus"
	"noderestriction.plus/internal/policystore"
	"noderestriction.plus/internal/text"
)

const (
	// conditionGated is the type of the condition.
	conditionGated = "Gated"
	// ownerSuffix ends the field owner of the condition.
	ownerSuffix = "conditions"
	// maxMessage bounds its message, in bytes.
	maxMessage = 1024
	// statusInterval is the least time between two passes over the policies that write nothing new.
	statusInterval = 5 * time.Second
)

// reasonOutdated is the reason of the condition while the objects are not those of the policies in force.
const reasonOutdated = "Outdated"

func outdatedFinding(problem error) conditions.Finding {
	return conditions.Finding{
		Status: metav1.ConditionFalse, Reason: reasonOutdated,
		Message: "the match conditions are not those of the policies in force: " + problem.Error(),
	}
}

// everyPolicy returns the same finding of each policy.
func everyPolicy(inForce []policystore.InForce, f conditions.Finding) map[string]conditions.Finding {
	all := map[string]conditions.Finding{}
	for i := range inForce {
		all[inForce[i].Policy.Name()] = f
	}
	return all
}

// gatedConditions write the condition Gated of policies.
type gatedConditions struct {
	policies client.Reader
	status   policystatus.Writer
	err      error // of the latest pass

	next time.Time
	last map[string]conditions.Finding
}

func newGatedConditions(policies client.Reader, status client.StatusClient) *gatedConditions {
	return &gatedConditions{policies: policies, status: policystatus.NewWriter(status, ownerSuffix)}
}

// report writes the findings that a status does not have yet.
func (g *gatedConditions) report(
	ctx context.Context, inForce []policystore.InForce, findings map[string]conditions.Finding, now time.Time,
) {
	if now.Before(g.next) && equal(g.last, findings) {
		return
	}
	g.next, g.last = now.Add(statusInterval), findings
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	var list v1alpha1.NodeRestrictionPolicyList
	if err := g.policies.List(ctx, &list); err != nil {
		g.err = err
		return
	}
	objects := map[string]*v1alpha1.NodeRestrictionPolicy{}
	for i := range list.Items {
		objects[list.Items[i].Name] = &list.Items[i]
	}
	var errs []error
	for i := range inForce {
		object := objects[inForce[i].Policy.Name()]
		if object == nil || object.UID != inForce[i].UID {
			continue
		}
		want := conditionOf(findings[object.Name], inForce[i].Generation)
		if !due(object.Status, want, now) {
			continue
		}
		err := g.status.WriteCondition(ctx, object, policystatus.Transitioned(want, object.Status, now))
		if err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("policy %q: %w", object.Name, err))
		}
	}
	g.err = errors.Join(errs...)
}

func equal(a, b map[string]conditions.Finding) bool {
	if len(a) != len(b) {
		return false
	}
	for name, f := range a {
		if b[name] != f {
			return false
		}
	}
	return true
}

func conditionOf(f conditions.Finding, generation int64) metav1.Condition {
	return metav1.Condition{
		Type: conditionGated, Status: f.Status, Reason: f.Reason, Message: text.Bound(f.Message, maxMessage), ObservedGeneration: generation,
	}
}

// due reports whether the condition must be written. A replica that is behind does not contradict one that is not, and replicas of
// two versions do not contradict each other at the speed of the API server.
func due(status *v1alpha1.NodeRestrictionPolicyStatus, want metav1.Condition, now time.Time) bool {
	have := policystatus.Condition(status, want.Type)
	switch {
	case have == nil || have.ObservedGeneration < want.ObservedGeneration:
		return true
	case have.ObservedGeneration > want.ObservedGeneration:
		return false
	case have.Status == want.Status && have.Reason == want.Reason && have.Message == want.Message:
		return false
	case have.Reason == reasonOutdated && want.Reason != reasonOutdated:
		return true // the objects are up to date again
	}
	return policystatus.Contest(have, now) == 0
}

// Forgetter removes the condition Gated of policies, which the program wrote while it kept the conditions up to date.
type Forgetter struct {
	policies client.Reader
	status   policystatus.Writer
	faults   *faultlog.Log
}

// NewForgetter returns a Forgetter that reads policies from a reader, which may be a cache, and writes their status.
func NewForgetter(policies client.Reader, status client.StatusClient, log logr.Logger) *Forgetter {
	return &Forgetter{policies, policystatus.NewWriter(status, ownerSuffix), faultlog.New(log)}
}

// Start implements manager.Runnable. It returns nil.
func (f *Forgetter) Start(ctx context.Context) error {
	tick := time.NewTicker(policystatus.ContestInterval)
	defer tick.Stop()
	for {
		f.faults.Report("Cannot remove the condition Gated of the policies", f.forget(ctx))
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (f *Forgetter) forget(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	var list v1alpha1.NodeRestrictionPolicyList
	if err := f.policies.List(ctx, &list); err != nil {
		return err
	}
	var errs []error
	for i := range list.Items {
		object := &list.Items[i]
		if policystatus.Condition(object.Status, conditionGated) == nil {
			continue
		}
		if err := f.status.RemoveConditions(ctx, object); err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("policy %q: %w", object.Name, err))
		}
	}
	return errors.Join(errs...)
}
