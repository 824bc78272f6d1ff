// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package certificates

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	admissionregistrationclient "k8s.io/client-go/kubernetes/typed/admissionregistration/v1"
	toolscache "k8s.io/client-go/tools/cache"

	"noderestriction.plus/internal/program"
)

const (
	// fieldManager owns the bundles.
	fieldManager = program.Name + "-certificates"

	// The first try to write a version again comes after minRetry, and the time doubles with each failure up to
	// maxRetry. The least is also the time between two writes, should somebody else undo each of them.
	minRetry = time.Second
	maxRetry = 10 * time.Second

	writeTimeout = 10 * time.Second
)

// configuration is the one ValidatingWebhookConfiguration whose bundles are kept. Nothing else of it is touched, and it
// is never made. It is used by one goroutine.
//
// It is written by JSON patches. With server-side apply an entry of its list would in part be ours, so that whoever
// installs the configuration by server-side apply could not remove a webhook any more: what is left of it, the bundle,
// is no valid webhook.
type configuration struct {
	name     string
	client   admissionregistrationclient.ValidatingWebhookConfigurationInterface
	informer toolscache.SharedIndexInformer

	tried    string        // the resourceVersion that was tried last
	failures int           // tries of it
	wait     time.Duration // until the next
	last     time.Time     // of the last try
}

// newConfiguration is the configuration of the name. Its informer must be run.
func newConfiguration(o Options, client kubernetes.Interface, changed func()) (*configuration, error) {
	api := client.AdmissionregistrationV1()
	byName := fields.OneTermEqualSelector("metadata.name", o.Configuration)
	source := toolscache.NewListWatchFromClient(
		api.RESTClient(), "validatingwebhookconfigurations", metav1.NamespaceAll, byName)
	c := &configuration{
		name: o.Configuration, client: api.ValidatingWebhookConfigurations(),
		informer: o.NewInformer(source, &admissionregistrationv1.ValidatingWebhookConfiguration{}, 0, toolscache.Indexers{}),
	}
	_, err := c.informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { changed() },
		UpdateFunc: func(any, any) { changed() },
		DeleteFunc: func(any) { changed() },
	})
	return c, err
}

// observed is what is known of the configuration.
type observed struct {
	known   bool // it has been looked for
	exists  bool
	version string   // its resourceVersion
	bundles []bundle // of its webhooks, in their order
}

func (c *configuration) observe() observed {
	o := observed{known: c.informer.HasSynced()}
	object, exists, _ := c.informer.GetStore().GetByKey(c.name) // the store makes no errors
	stored, ok := object.(*admissionregistrationv1.ValidatingWebhookConfiguration)
	if !exists || !ok {
		return o
	}
	o.exists, o.version, o.bundles = true, stored.ResourceVersion, make([]bundle, len(stored.Webhooks))
	for i := range stored.Webhooks {
		o.bundles[i] = parseBundle(stored.Webhooks[i].ClientConfig.CABundle)
	}
	return o
}

// trusts reports whether every webhook has the authority. That is so if there is no configuration: then nobody is
// called, and once there is one its bundles get all that is needed at once.
func (o observed) trusts(authority *x509.Certificate) bool {
	if !o.known {
		return false
	}
	return !slices.ContainsFunc(o.bundles, func(b bundle) bool { return !b.has(authority) })
}

// operation is one of a JSON patch.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"` // bytes are in base64
}

// patch are the operations that let every bundle have what is needed, none if all do.
func (o observed) patch(needed bundle, now time.Time) []operation {
	var operations []operation
	for i, have := range o.bundles {
		if want := have.merge(needed, now); !want.equal(have) {
			operations = append(operations, operation{
				"add", fmt.Sprintf("/webhooks/%d/clientConfig/caBundle", i), want.encode(),
			})
		}
	}
	if operations == nil {
		return nil
	}
	// What was looked at is what is changed: the indices are those of this version.
	return append([]operation{{"test", "/metadata/resourceVersion", o.version}}, operations...)
}

// write writes a patch if it is time to try. Somebody else who was faster is no error: a newer version is on its way.
func (c *configuration) write(ctx context.Context, version string, operations []operation, now time.Time) (bool, error) {
	if version != c.tried {
		c.tried, c.failures, c.wait = version, 0, minRetry
	}
	if now.Sub(c.last) < c.wait {
		return false, nil
	}
	data, err := json.Marshal(operations)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	_, err = c.client.Patch(ctx, c.name, types.JSONPatchType, data, metav1.PatchOptions{FieldManager: fieldManager})
	c.last, c.wait = now, min(2*c.wait, maxRetry)
	c.failures++
	contested := apierrors.IsConflict(err) || apierrors.IsInvalid(err) || apierrors.IsNotFound(err)
	if contested && c.failures == 1 || errors.Is(ctx.Err(), context.Canceled) {
		return false, nil
	}
	return err == nil, err
}
