// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package stage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"noderestriction.plus/e2e/chart"
)

// fieldManager owns the fields of what the demo applies.
const fieldManager = "demo"

// installer installs with the libraries of kubectl and Helm, so that the demo need not wait until these are built.
type installer struct{ client client.Client }

// Apply implements [product.Installer].
func (i installer) Apply(ctx context.Context, manifests []byte) error {
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(manifests), 4096)
	for {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(&object.Object); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if len(object.Object) == 0 {
			continue // a comment
		}
		err := i.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), client.FieldOwner(fieldManager), client.ForceOwnership)
		if err != nil {
			return fmt.Errorf("apply %s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
}

// Template implements [product.Installer].
func (installer) Template(ctx context.Context, kubeVersion string, values []string) ([]byte, error) {
	return chart.Render(ctx, kubeVersion, values)
}

// Apply applies manifests.
func (d *Demo) Apply(ctx context.Context, manifests []byte) error {
	return installer{d.Policies}.Apply(ctx, manifests)
}
