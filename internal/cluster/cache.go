package cluster

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// CacheOptions has a cache keep of each Node its name, UID and labels, which is about 2.5 KiB for a Node with 15 labels, and
// hand them out without copying: they must not be changed.
func CacheOptions() map[client.Object]cache.ByObject {
	return map[client.Object]cache.ByObject{
		nodeMetadata(): {Transform: reduce, UnsafeDisableDeepCopy: new(true)},
	}
}

func nodeMetadata() *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{
		TypeMeta: metav1.TypeMeta{APIVersion: corev1.SchemeGroupVersion.String(), Kind: "Node"},
	}
}

// reduce keeps of a Node what policies look at, and what the cache needs itself.
func reduce(object any) (any, error) {
	node, ok := object.(*metav1.PartialObjectMetadata)
	if !ok {
		return object, nil
	}
	kept := nodeMetadata()
	kept.Name, kept.UID, kept.ResourceVersion, kept.Labels = node.Name, node.UID, node.ResourceVersion, node.Labels
	return kept, nil
}

// WatchErrors returns the handler of a cache for lists and watches that fail, which are tried again for ever. It logs them as
// usual and counts them: with the right to read taken away, what the cache holds grows old and nothing else tells.
func WatchErrors(registerer prometheus.Registerer) toolscache.WatchErrorHandlerWithContext {
	failures := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "node_restriction_plus_watch_errors_total",
		Help: "Lists and watches of the API server that failed, by the type of the objects.",
	}, []string{"type"})
	registerer.MustRegister(failures)
	return func(ctx context.Context, r *toolscache.Reflector, err error) {
		failures.WithLabelValues(r.TypeDescription()).Inc()
		toolscache.DefaultWatchErrorHandler(ctx, r, err)
	}
}
