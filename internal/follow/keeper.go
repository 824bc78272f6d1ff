// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package follow

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/conditions"
	"noderestriction.plus/internal/faultlog"
	"noderestriction.plus/internal/policystore"
	"noderestriction.plus/policy"
)

const (
	// interval is how often the objects are compared with the policies in force.
	interval = 500 * time.Millisecond
	// fileInterval is how often the file is read.
	fileInterval = 5 * time.Second
	// writeTimeout bounds one write.
	writeTimeout = 30 * time.Second
	// grace is how long conditions may be older than the policies before it is reported.
	grace = 10 * time.Second

	// The faults.
	cannotRead  = "Cannot read the file with the match conditions of the chart"
	cannotWrite = "Cannot update the match conditions of the webhook configuration"
	cannotFloor = "Cannot update the floor under registration"
)

// Options say what is kept up to date.
type Options struct {
	// File is the path of what the chart rendered, and Base what has been read from it. It is read again while the program runs.
	File string
	Base *conditions.Base
	// Config is the connection to the API server. It needs permission to list, watch and patch the configuration and the policy of the
	// floor.
	Config *rest.Config
	// Store has the policies in force.
	Store *policystore.Store
	// Rules are those that the policies turn on.
	Rules []policy.Rule
	// Policies reads the policies. It may be a cache.
	Policies client.Reader
	// Status writes their status.
	Status client.StatusClient
	Events recorder.EventRecorder
	// NewInformer makes an informer of the objects of a source, which retries automatically.
	NewInformer func(
		source toolscache.ListerWatcher, object runtime.Object, resync time.Duration, indexers toolscache.Indexers,
	) toolscache.SharedIndexInformer
	Registerer prometheus.Registerer
	Log        logr.Logger
}

// Keeper keeps the objects up to date.
type Keeper struct {
	options   Options
	client    kubernetes.Interface
	base      *conditions.Base // of the file; its names do not change
	floorName string
	metrics   *metrics
	faults    *faultlog.Log
	gated     *gatedConditions

	configuration, floor             toolscache.SharedIndexInformer // floor may be nil
	configurationWrites, floorWrites writes

	nextRead time.Time
	inForce  []policystore.InForce
	composed *conditions.Composed // of base and inForce
	outdated time.Time            // since when the objects are older than the policies; zero: they are not

	// current is what other goroutines may read. It is never changed.
	current atomic.Pointer[conditions.Composed]
}

// New returns a Keeper. It does not need the API server.
func New(o Options) (*Keeper, error) {
	base := o.Base
	api, err := kubernetes.NewForConfig(o.Config)
	if err != nil {
		return nil, err
	}
	k := &Keeper{
		options: o, client: api, base: base, floorName: base.Floor, metrics: newMetrics(o.Registerer), faults: faultlog.New(o.Log),
		gated: newGatedConditions(o.Policies, o.Status),
	}
	registrations := api.AdmissionregistrationV1().RESTClient()
	named := func(resource, name string) toolscache.ListerWatcher {
		return toolscache.NewListWatchFromClient(
			registrations, resource, metav1.NamespaceAll, fields.OneTermEqualSelector("metadata.name", name))
	}
	k.configuration = o.NewInformer(named("validatingwebhookconfigurations", base.Configuration),
		&admissionregistrationv1.ValidatingWebhookConfiguration{}, 0, toolscache.Indexers{})
	if base.Floor != "" {
		k.floor = o.NewInformer(named("validatingadmissionpolicies", base.Floor),
			&admissionregistrationv1.ValidatingAdmissionPolicy{}, 0, toolscache.Indexers{})
	}
	return k, nil
}

// Start implements manager.Runnable. It returns nil.
func (k *Keeper) Start(ctx context.Context) error {
	var informers sync.WaitGroup
	defer informers.Wait()
	informers.Go(func() { k.configuration.RunWithContext(ctx) })
	if k.floor != nil {
		informers.Go(func() { k.floor.RunWithContext(ctx) })
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		k.step(ctx, time.Now())
	}
}

// step does what is due at a time.
func (k *Keeper) step(ctx context.Context, now time.Time) {
	k.readFile(now)
	if !k.compose() {
		return // it is not known yet which policies are in force
	}
	problem := errors.Join(k.keepConfiguration(ctx, now), k.keepFloor(ctx, now))
	if problem == nil {
		k.outdated = time.Time{}
	} else if k.outdated.IsZero() {
		k.outdated = now
	}
	k.metrics.publish(k.composed, problem == nil)
	switch {
	case problem == nil:
		k.gated.report(ctx, k.inForce, k.composed.Findings, now)
	case now.Sub(k.outdated) >= grace:
		k.gated.report(ctx, k.inForce, everyPolicy(k.inForce, outdatedFinding(problem)), now)
	}
	k.faults.Report("Cannot write the condition Gated of the policies", k.gated.err)
}

// readFile reads the file again. If it has other names, a new pod is on its way.
func (k *Keeper) readFile(now time.Time) {
	if now.Before(k.nextRead) {
		return
	}
	k.nextRead = now.Add(fileInterval)
	base, err := conditions.ReadBase(k.options.File)
	if err == nil && (base.Configuration != k.base.Configuration || base.Floor != k.base.Floor) {
		err = errors.New("it names other objects than when the program started")
	}
	k.faults.Report(cannotRead, err)
	if err == nil && base.Digest() != k.base.Digest() {
		k.base, k.composed = base, nil
	}
}

// compose composes the conditions, if the file or the policies have changed. It reports whether the policies are known.
func (k *Keeper) compose() bool {
	inForce, known := k.options.Store.InForce()
	if !known {
		return false
	}
	if k.composed == nil || !same(k.inForce, inForce) {
		k.inForce, k.composed = inForce, conditions.Compose(k.base, policiesOf(inForce), k.options.Rules)
		k.current.Store(k.composed)
	}
	return true
}

func policiesOf(inForce []policystore.InForce) []conditions.Policy {
	policies := make([]conditions.Policy, len(inForce))
	for i := range inForce {
		p := inForce[i].Policy
		policies[i] = conditions.Policy{Name: p.Name(), Denies: p.Action() == v1alpha1.Deny, Rules: p.Rules(), Spec: inForce[i].Spec}
	}
	return policies
}

// same reports whether two lists are of the same policies.
func same(a, b []policystore.InForce) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Policy != b[i].Policy || a[i].UID != b[i].UID || a[i].Generation != b[i].Generation {
			return false
		}
	}
	return true
}

// errPending says that a difference is about to be written.
var errPending = errors.New("an update is pending")

// stored returns the object of an informer, or why it is not known.
func stored[T any](informer toolscache.SharedIndexInformer, kind, name string) (T, error) {
	var none T
	if !informer.HasSynced() {
		return none, fmt.Errorf("%s %q has not been read yet", kind, name)
	}
	object, exists, _ := informer.GetStore().GetByKey(name) // the store makes no errors
	if typed, ok := object.(T); exists && ok {
		return typed, nil
	}
	return none, fmt.Errorf("%s %q does not exist", kind, name)
}

// keepConfiguration keeps the webhook configuration up to date. It returns why it is not.
func (k *Keeper) keepConfiguration(ctx context.Context, now time.Time) error {
	c, err := stored[*admissionregistrationv1.ValidatingWebhookConfiguration](
		k.configuration, "ValidatingWebhookConfiguration", k.base.Configuration)
	if err != nil {
		return err
	}
	if c.Annotations[baseAnnotation] != k.base.Digest() {
		k.configurationWrites.pace.due("", now)
		return fmt.Errorf("the webhook configuration was rendered with other conditions than those in %s: wait until the file is current",
			k.options.File)
	}
	operations, err := patchConditions(c, k.composed.Webhooks)
	if err != nil {
		k.configurationWrites.pace.due("", now)
		return err
	}
	o := &keptObject{
		object: c, kind: "ValidatingWebhookConfiguration", writes: &k.configurationWrites, fault: cannotWrite,
		author: func() author { return authorOfConditions(c, k.composed.Webhooks) },
		what: func() string {
			return strings.Join(differing(k.composed.Webhooks, conditionsOf(c.Webhooks, k.composed.Webhooks)), ", ")
		},
		patch: func(ctx context.Context, data []byte) (metav1.Object, error) {
			return k.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Patch(
				ctx, c.Name, types.JSONPatchType, data, metav1.PatchOptions{FieldManager: fieldManager})
		},
	}
	return k.keep(ctx, o, operations, digestOf(k.composed.Webhooks), now)
}

// keepFloor keeps the policy of the floor up to date. It returns why it is not.
func (k *Keeper) keepFloor(ctx context.Context, now time.Time) error {
	if k.floor == nil {
		return nil
	}
	p, err := stored[*admissionregistrationv1.ValidatingAdmissionPolicy](k.floor, "ValidatingAdmissionPolicy", k.base.Floor)
	if err != nil {
		return err
	}
	if p.Annotations[baseAnnotation] != k.base.Digest() {
		k.floorWrites.pace.due("", now)
		return fmt.Errorf("the floor was rendered with other conditions than those in %s: wait until the file is current", k.options.File)
	}
	o := &keptObject{
		object: p, kind: "ValidatingAdmissionPolicy", writes: &k.floorWrites, fault: cannotFloor,
		author: func() author { return floorAuthor(p) }, what: func() string { return "the validations" },
		patch: func(ctx context.Context, data []byte) (metav1.Object, error) {
			return k.client.AdmissionregistrationV1().ValidatingAdmissionPolicies().Patch(
				ctx, p.Name, types.JSONPatchType, data, metav1.PatchOptions{FieldManager: fieldManager})
		},
	}
	return k.keep(ctx, o, patchFloor(p, k.composed.Floor), digestOf(k.composed.Floor), now)
}

// writes are the attempts to write one object.
type writes struct {
	pace     pace
	disowned pace  // of the attempts to give up its ownership
	problem  error // of the latest attempt
}

// keptObject is an object as it was read, with what is needed to write it.
type keptObject struct {
	object interface {
		metav1.Object
		runtime.Object
	}
	kind   string
	writes *writes
	fault  string
	author func() author // who wrote what the object has
	what   func() string // what of it differs
	patch  func(ctx context.Context, data []byte) (metav1.Object, error)
}

// keep writes the operations when they are due. It returns why the object is not up to date.
func (k *Keeper) keep(ctx context.Context, o *keptObject, operations []operation, digest string, now time.Time) error {
	w := o.writes
	if operations == nil {
		w.pace.due("", now)
		w.problem = k.giveUp(ctx, o, now)
		k.faults.Report(o.fault, w.problem)
		return nil
	}
	if !w.pace.due(digest, now) {
		return cmp.Or(w.problem, errPending)
	}
	by, what := o.author(), o.what()
	updated, err := k.write(ctx, o, operations)
	w.pace.made(now)
	if err == nil && updated != nil {
		k.wrote(o, by, what)
		// At once, because until then an upgrade by Helm ends with a conflict. If it fails, giveUp retries it.
		_, err = k.write(ctx, o, disown(updated))
	}
	w.problem = ignoreContest(err)
	k.faults.Report(o.fault, w.problem)
	return cmp.Or(w.problem, errPending) // until the informer has it
}

// wrote reports a write.
func (k *Keeper) wrote(o *keptObject, by author, what string) {
	k.metrics.writes.WithLabelValues(string(reasonOf(by))).Inc()
	k.options.Log.Info("Updated the match conditions", "kind", o.kind, "name", o.object.GetName(), "replaced", what, "of", string(by))
	if by == somebodyElse {
		object := o.object.DeepCopyObject()
		object.GetObjectKind().SetGroupVersionKind(admissionregistrationv1.SchemeGroupVersion.WithKind(o.kind))
		k.options.Events.Eventf(object, nil, corev1.EventTypeWarning, "ConditionsRestored", "Follow",
			"Somebody changed %s. The replica restored what the policies in force require.", what)
	}
}

// giveUp gives up the ownership of what was written, if that failed when it was written. The object is up to date, whether it succeeds or
// not.
func (k *Keeper) giveUp(ctx context.Context, o *keptObject, now time.Time) error {
	operations := disown(o.object)
	wanted := ""
	if operations != nil {
		wanted = o.object.GetResourceVersion() // a later write does not wait longer than an earlier one
	}
	if !o.writes.disowned.due(wanted, now) {
		return o.writes.problem
	}
	o.writes.disowned.made(now)
	_, err := k.write(ctx, o, operations)
	return ignoreContest(err)
}

// write writes operations, if there are any, and returns the object as it is stored then. It returns nil when the program ends.
func (k *Keeper) write(ctx context.Context, o *keptObject, operations []operation) (metav1.Object, error) {
	if operations == nil {
		return nil, nil
	}
	data, err := json.Marshal(operations)
	if err != nil {
		return nil, err
	}
	writing, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	updated, err := o.patch(writing, data)
	switch {
	case ctx.Err() != nil:
		return nil, nil
	case err != nil && ignoreContest(err) != nil:
		k.metrics.errors.Inc()
	}
	if err != nil {
		return nil, err
	}
	return updated, nil
}

// ignoreContest returns nil if another writer was faster: a newer version of the object is on its way. The API server's answer to a JSON
// patch whose test fails is that it is not valid, without a field.
func ignoreContest(err error) error {
	var status apierrors.APIStatus
	if apierrors.IsConflict(err) || apierrors.IsInvalid(err) && errors.As(err, &status) &&
		(status.Status().Details == nil || len(status.Status().Details.Causes) == 0) {
		return nil
	}
	return err
}
