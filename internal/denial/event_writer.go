// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package denial

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	eventsv1client "k8s.io/client-go/kubernetes/typed/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/program"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
)

const (
	// eventNamespace is the namespace of Events on cluster-scoped objects.
	eventNamespace = metav1.NamespaceDefault
	// eventMemory is how long after the last write of an Event its count may be raised. An API server keeps Events for an hour.
	eventMemory = 30 * time.Minute
	// maxEventsKnown is the maximum number of Events that are remembered.
	maxEventsKnown = 4096
	// reportingController is the source of the Events.
	reportingController = program.Name

	// maxNote, maxAction and maxInstance are the API server's bounds on the fields of an Event, in bytes.
	maxNote     = 1024
	maxAction   = 128
	maxInstance = 128
	// maxNamePrefix leaves room for the random suffix of an Event's name.
	maxNamePrefix = 200
)

// eventWriter creates Events and raises their counts. It is not safe for concurrent use.
type eventWriter struct {
	policies client.Reader
	events   eventsv1client.EventInterface
	instance string
	known    map[topic]knownEvent
}

// knownEvent is an Event that was written.
type knownEvent struct {
	name   string
	policy types.UID
	count  int32
	last   time.Time
}

func newEventWriter(policies client.Reader, events eventsv1client.EventsGetter) *eventWriter {
	instance, err := os.Hostname() // of a Pod, its name
	if err != nil || instance == "" {
		instance = reportingController
	}
	return &eventWriter{
		policies: policies, events: events.Events(eventNamespace), instance: instance[:min(len(instance), maxInstance)],
		known: map[topic]knownEvent{},
	}
}

// write creates the topic's Event, or raises its count. A deleted policy needs no Event.
func (w *eventWriter) write(ctx context.Context, about topic, seen occurrences) error {
	subject := &v1alpha1.NodeRestrictionPolicy{}
	if err := w.policies.Get(ctx, client.ObjectKey{Name: about.policy}, subject); err != nil {
		return client.IgnoreNotFound(err)
	}
	w.forget(seen.last)
	if known, ok := w.known[about]; ok && known.policy == subject.UID {
		known.count += seen.count
		known.last = seen.last
		err := w.raise(ctx, known)
		if err == nil {
			w.known[about] = known
		}
		if !apierrors.IsNotFound(err) {
			return err
		}
	}
	event := w.event(subject, about, seen)
	if _, err := w.events.Create(ctx, event, metav1.CreateOptions{}); err != nil {
		return err
	}
	w.known[about] = knownEvent{name: event.Name, policy: subject.UID, count: seen.count, last: seen.last}
	return nil
}

// forget forgets Events whose count may no longer be raised, and all if there are too many.
func (w *eventWriter) forget(now time.Time) {
	for about, known := range w.known {
		if now.Sub(known.last) > eventMemory || len(w.known) >= maxEventsKnown {
			delete(w.known, about)
		}
	}
}

// raise writes count and time, the only fields of an Event that an API server allows to change.
func (w *eventWriter) raise(ctx context.Context, known knownEvent) error {
	patch, err := json.Marshal(map[string]any{"series": seriesOf(known.count, known.last)})
	if err != nil {
		return err
	}
	_, err = w.events.Patch(ctx, known.name, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

func (w *eventWriter) event(subject *v1alpha1.NodeRestrictionPolicy, about topic, seen occurrences) *eventsv1.Event {
	prefix := strings.TrimRight(subject.Name[:min(len(subject.Name), maxNamePrefix)], ".-")
	event := &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{
			Name:      prefix + "." + strings.ToLower(rand.Text()[:bootLength]),
			Namespace: eventNamespace,
		},
		EventTime:           metav1.NewMicroTime(seen.first),
		ReportingController: reportingController,
		ReportingInstance:   w.instance,
		Action:              text.Cut(string(about.rule), maxAction),
		Reason:              eventReason(about.outcome),
		Regarding: corev1.ObjectReference{
			APIVersion: v1alpha1.GroupVersion().String(), Kind: v1alpha1.Kind, Name: subject.Name, UID: subject.UID,
		},
		Note: text.Cut(seen.note, maxNote),
		Type: corev1.EventTypeWarning,
	}
	if about.outcome != policy.Denied {
		event.Type = corev1.EventTypeNormal
	}
	if seen.count > 1 {
		event.Series = seriesOf(seen.count, seen.last)
	}
	return event
}

func seriesOf(count int32, last time.Time) *eventsv1.EventSeries {
	return &eventsv1.EventSeries{Count: count, LastObservedTime: metav1.NewMicroTime(last)}
}

// eventReason returns the reason of an Event for an outcome.
func eventReason(outcome policy.Outcome) string {
	switch outcome {
	case policy.Denied:
		return "Denied"
	case policy.Warned:
		return "Warned"
	}
	return "Audited"
}
