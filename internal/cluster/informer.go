// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"reflect"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"

	"noderestriction.plus/internal/faultlog"
)

// retryInterval is the pause after a list or watch that failed; up to twice that, so that replicas spread.
const retryInterval = 2 * time.Second

// Informers makes informers that follow the API server closely: after an outage, or after permissions were missing, they are
// current within seconds. Those of client-go wait for up to a minute.
type Informers struct {
	log      logr.Logger
	failures *prometheus.CounterVec
	interval time.Duration
}

// NewInformers returns Informers. Failures are counted, and logged when they begin and end.
func NewInformers(log logr.Logger, registerer prometheus.Registerer) *Informers {
	i := &Informers{log: log, interval: retryInterval, failures: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "node_restriction_plus_watch_errors_total",
		Help: "Lists and watches of the API server that failed, by the type of the objects. " +
			"What was read before stays in use.",
	}, []string{"type"})}
	registerer.MustRegister(i.failures)
	return i
}

// New makes an informer. Its signature is that of NewInformer in the options of a controller-runtime cache.
func (i *Informers) New(
	source toolscache.ListerWatcher, object runtime.Object, resync time.Duration, indexers toolscache.Indexers,
) toolscache.SharedIndexInformer {
	kind := object.GetObjectKind().GroupVersionKind().Kind
	if kind == "" {
		kind = reflect.Indirect(reflect.ValueOf(object)).Type().Name()
	}
	steady := &steadySource{
		source: toolscache.ToListerWatcherWithContext(source), interval: i.interval,
		log: i.log.WithValues("type", kind), failures: i.failures.WithLabelValues(kind),
	}
	return toolscache.NewSharedIndexInformer(steady, object, resync, indexers)
}

// steadySource lists and watches, and retries automatically.
type steadySource struct {
	source   toolscache.ListerWatcherWithContext
	interval time.Duration
	log      logr.Logger
	failures prometheus.Counter
}

var (
	_ toolscache.ListerWatcher            = &steadySource{}
	_ toolscache.ListerWatcherWithContext = &steadySource{}
)

// ListWithContext implements toolscache.ListerWatcherWithContext.
func (s *steadySource) ListWithContext(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
	return retried(ctx, s, "list", func() (runtime.Object, error) { return s.source.ListWithContext(ctx, options) })
}

// WatchWithContext implements toolscache.ListerWatcherWithContext.
func (s *steadySource) WatchWithContext(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	return retried(ctx, s, "watch", func() (watch.Interface, error) { return s.source.WatchWithContext(ctx, options) })
}

// List implements toolscache.ListerWatcher.
func (s *steadySource) List(options metav1.ListOptions) (runtime.Object, error) {
	return s.ListWithContext(context.Background(), options)
}

// Watch implements toolscache.ListerWatcher.
func (s *steadySource) Watch(options metav1.ListOptions) (watch.Interface, error) {
	return s.WatchWithContext(context.Background(), options)
}

// retried calls try until it succeeds, until ctx ends, or until the informer must change the request.
func retried[T any](ctx context.Context, s *steadySource, verb string, try func() (T, error)) (T, error) {
	faults := faultlog.New(s.log.WithValues("verb", verb))
	for {
		result, err := try()
		ended := err != nil && (ctx.Err() != nil || needsOtherOptions(err))
		if !ended {
			faults.Report("Cannot read from the API server, retrying", err)
		}
		if err == nil || ended {
			return result, err
		}
		s.failures.Inc()
		select {
		case <-ctx.Done():
			return result, ctx.Err()
		case <-time.After(wait.Jitter(s.interval, 1)):
		}
	}
}

// needsOtherOptions reports whether the same request would always fail: its resource version is too old, or in the
// future, or the server does not understand it.
func needsOtherOptions(err error) bool {
	return apierrors.IsResourceExpired(err) || apierrors.IsGone(err) ||
		apierrors.IsBadRequest(err) || apierrors.IsInvalid(err) ||
		apierrors.HasStatusCause(err, metav1.CauseTypeResourceVersionTooLarge)
}
