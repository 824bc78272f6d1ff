// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package policystore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/recorder"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/policystatus"
	"noderestriction.plus/internal/program"
	"noderestriction.plus/policy"
)

const (
	// reportingController is the source of the Events.
	reportingController = program.Name

	// compareInterval is how often the policies held are compared with those in the API server, bypassing the cache.
	compareInterval = time.Minute
	// recompareInterval is the interval while they differ, such as while a change is being propagated.
	recompareInterval = 10 * time.Second
	// compareTimeout bounds one such comparison.
	compareTimeout = 10 * time.Second

	// minRetry and maxRetry bound the pause after an error.
	minRetry = 100 * time.Millisecond
	maxRetry = 30 * time.Second

	// maxNote is the maximum length of an Event's note, in bytes.
	maxNote = 1024
)

// Setup adds the controller that fills the store to the manager. Every replica runs it, there is no leader. The live
// reader must not be a cache. The compiler compiles the policies. Metrics are registered with registerer. Each function in expect
// is called with every set before that is in force.
func Setup(
	ctx context.Context, mgr ctrl.Manager, store *Store, compiler *policy.Compiler, live client.Reader,
	registerer prometheus.Registerer, expect ...func(*policy.Set),
) error {
	// With the informer known before the manager starts, controllers wait for its first list without a time limit, however
	// long the API server is away.
	policies := &v1alpha1.NodeRestrictionPolicy{}
	if _, err := mgr.GetCache().GetInformer(ctx, policies, cache.BlockUntilSynced(false)); err != nil {
		return err
	}
	r := &reconciler{
		store:    store,
		compiler: compiler,
		held:     policyStates{},
		policies: mgr.GetCache(),
		live:     live,
		expect:   expect,
		status:   policystatus.NewWriter(mgr.GetClient(), "policies"),
		events:   mgr.GetEventRecorder(reportingController),
		metrics:  newMetrics(registerer),
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("policies").
		Watches(policies, handler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request {
			return []reconcile.Request{{}}
		})).
		// Without a policy nothing would trigger the first sync.
		WatchesRawSource(source.Func(
			func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
				queue.Add(reconcile.Request{})
				return nil
			})).
		WithOptions(controller.Options{
			NeedLeaderElection:      new(false),
			MaxConcurrentReconciles: 1,
			// The request has no content to log.
			LogConstructor: func(*reconcile.Request) logr.Logger { return mgr.GetLogger().WithName("policies") },
			RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](
				minRetry, maxRetry),
		}).
		Complete(r)
}

// reconciler updates the store with all policies at once. One request stands for all of them: the policies in force are one
// set, which handlers must not see half updated.
type reconciler struct {
	store    *Store
	compiler *policy.Compiler
	held     policyStates
	policies client.Reader // a cache of all policies
	live     client.Reader
	expect   []func(*policy.Set)
	status   policystatus.Writer
	events   recorder.EventRecorder
	metrics  *metrics

	nextCompare time.Time // when to compare the policies held with those of the API server again
}

// Reconcile implements reconcile.Reconciler. It swaps the set before it reads from or writes to the API server.
func (r *reconciler) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	var list v1alpha1.NodeRestrictionPolicyList
	if err := r.policies.List(ctx, &list); err != nil {
		return reconcile.Result{}, err
	}
	missing := r.held.hold(r.compiler, list.Items)
	first := r.store.Set() == nil
	r.publish()
	r.held.enter(time.Now(), first)

	var compareErr error
	if len(missing) > 0 || !time.Now().Before(r.nextCompare) {
		compareErr = r.compare(ctx, missing)
	}
	again, statusErr := r.writeStatuses(ctx, list.Items)
	again = max(min(again, time.Until(r.nextCompare)), time.Millisecond) // 0 would be never
	return reconcile.Result{RequeueAfter: again}, errors.Join(compareErr, statusErr)
}

func (r *reconciler) publish() {
	set := r.held.set()
	for _, expect := range r.expect {
		expect(set)
	}
	r.store.set.Store(set)
	r.store.inForce.Store(new(r.held.list()))
	r.metrics.publish(r.held)
}

// compare compares the policies held with those in the API server, and drops missing policies that were deleted there.
func (r *reconciler) compare(ctx context.Context, missing []string) error {
	ctx, cancel := context.WithTimeout(ctx, compareTimeout)
	defer cancel()
	served, err := readServed(ctx, r.live)
	if err != nil {
		return err
	}
	r.nextCompare = time.Now().Add(compareInterval)
	if served.lost {
		r.metrics.lost.Set(1)
		log.FromContext(ctx).Info("The CRD is missing, the last policies stay in force", "policies", len(r.held))
		return nil
	}
	r.metrics.lost.Set(0)
	for _, name := range missing {
		if !served.has(name) {
			delete(r.held, name)
		}
	}
	r.publish()
	if served.equal(r.held) {
		r.metrics.lastSync.SetToCurrentTime()
	} else {
		r.nextCompare = time.Now().Add(recompareInterval)
	}
	return nil
}

// writeStatuses writes the conditions that are not in a status yet. It returns the time until the next check.
func (r *reconciler) writeStatuses(
	ctx context.Context, objects []v1alpha1.NodeRestrictionPolicy,
) (time.Duration, error) {
	again := compareInterval
	var errs []error
	for i := range objects {
		object := &objects[i]
		held, now := r.held[object.Name], time.Now()
		condition := held.condition()
		write, wait := plan(object.Status, condition, now)
		if wait > 0 {
			again = min(again, wait)
		}
		since, differs := held.sinceIn(object.Status)
		var err error
		switch {
		case write:
			err = r.writeStatus(ctx, object, held, policystatus.Transitioned(condition, object.Status, now), since)
		case differs && wait == 0 && object.Status.ObservedGeneration == held.generation:
			err = r.status.WriteObserved(ctx, object, *policystatus.Condition(object.Status, conditionReady), since)
		}
		// After a conflict the newer object will arrive and be reconciled.
		if err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("write the status of policy %q: %w", object.Name, err))
		}
	}
	return again, errors.Join(errs...)
}

// writeStatus writes the condition, and an Event if the policy is not enforced as written. Only the replica that writes the
// condition emits the Event, so there is one Event and not one per replica.
func (r *reconciler) writeStatus(
	ctx context.Context, object *v1alpha1.NodeRestrictionPolicy, held *policyState, condition metav1.Condition, since metav1.Time,
) error {
	if err := r.status.WriteObserved(ctx, object, condition, since); err != nil {
		return err
	}
	logger := log.FromContext(ctx).WithValues("policy", object.Name, "generation", held.generation)
	if len(held.errs) == 0 {
		logger.Info("Policy is enforced as written")
		return nil
	}
	logger.Error(errors.New(condition.Message), "Policy is not enforced as written")
	r.events.Eventf(object, nil, corev1.EventTypeWarning, reasonInvalid, "Compile", "%s", cut(condition.Message, maxNote))
	return nil
}
