// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package certificates

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	admissionregistrationclient "k8s.io/client-go/kubernetes/typed/admissionregistration/v1"
	toolscache "k8s.io/client-go/tools/cache"

	"noderestriction.plus/internal/program"
)

// fieldManager is the field manager of the Secret and of the bundles.
const fieldManager = program.Name + "-certificates"

// configuration is the one ValidatingWebhookConfiguration whose bundles are kept. Nothing else of it is changed, and it is
// never created. It is used by one goroutine.
//
// It is written by JSON patches. With server-side apply an entry of its list would be partly ours, so that a user who
// installs the configuration by server-side apply could no longer remove a webhook: the bundle would remain, and that is
// not a valid webhook.
type configuration struct {
	name     string
	client   admissionregistrationclient.ValidatingWebhookConfigurationInterface
	informer toolscache.SharedIndexInformer
	writes   attempts
}

// newConfiguration returns the configuration that the options name. Its informer must be run. changed is called after the
// configuration has changed.
func newConfiguration(o Options, client kubernetes.Interface, changed func()) (*configuration, error) {
	api := client.AdmissionregistrationV1()
	byName := fields.OneTermEqualSelector("metadata.name", o.Configuration)
	source := toolscache.NewListWatchFromClient(
		api.RESTClient(), "validatingwebhookconfigurations", metav1.NamespaceAll, byName)
	c := &configuration{
		name: o.Configuration, client: api.ValidatingWebhookConfigurations(),
		informer: o.NewInformer(source, &admissionregistrationv1.ValidatingWebhookConfiguration{}, 0, toolscache.Indexers{}),
	}
	return c, onChange(c.informer, changed)
}

// observed is what is known about the configuration.
type observed struct {
	known   bool // the informer has synced
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

// trusts reports whether every webhook's bundle has the CA. That is also true without a configuration: then no webhook is
// called, and once there is one its bundles get all that they need in one write.
func (o observed) trusts(ca *x509.Certificate) bool {
	if !o.known {
		return false
	}
	return !slices.ContainsFunc(o.bundles, func(b bundle) bool { return !b.has(ca) })
}

// operation is one of a JSON patch.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"` // bytes are in base64
}

// patch returns the operations that add what is needed to every bundle, nil if all have it.
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
	// The indices are valid for this version only.
	return append([]operation{{"test", "/metadata/resourceVersion", o.version}}, operations...)
}

// write writes a patch if it is time for an attempt.
func (c *configuration) write(ctx context.Context, version string, operations []operation, now time.Time) (wrote bool, err error) {
	if !c.writes.due(version, now) {
		return false, nil
	}
	data, err := json.Marshal(operations)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	_, err = c.client.Patch(ctx, c.name, types.JSONPatchType, data, metav1.PatchOptions{FieldManager: fieldManager})
	return c.writes.made(ctx, err, now)
}
