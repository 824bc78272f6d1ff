// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"

	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/suite"
)

// decode returns the objects of manifests as JSON, by their kinds and names.
func decode(t *testing.T, manifests []byte) map[string]string {
	t.Helper()
	objects := map[string]string{}
	for decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(manifests), 4096); ; {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return objects
		}
		suite.Check(t, err)
		if len(object.Object) == 0 {
			continue
		}
		text, err := object.MarshalJSON()
		suite.Check(t, err)
		key := object.GetKind() + " " + object.GetNamespace() + "/" + object.GetName()
		if objects[key] != "" {
			t.Errorf("%s is rendered twice", key)
		}
		objects[key] = string(text)
	}
}

func TestRenderGivesTheObjectsOfHelm(t *testing.T) {
	const kubeVersion = "v1.37.2"
	helm, err := binaries.Helm(t.Context(), t.Output())
	suite.Check(t, err)
	for _, test := range []struct {
		name   string
		values []string
	}{
		{name: "a server outside the cluster", values: []string{"webhook.url=https://127.0.0.1:9443", "policies.recommended=Off"}},
		{name: "pods in the cluster", values: []string{"policies.recommended=Deny", "replicas=2"}},
		{name: "a list", values: []string{"webhook.url=https://127.0.0.1:9443", "imagePullSecrets[0].name=registry"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			printed, err := product.Programs{Helm: helm}.Template(t.Context(), kubeVersion, test.values)
			suite.Check(t, err)
			rendered, err := Render(t.Context(), kubeVersion, test.values)
			suite.Check(t, err)
			want, got := decode(t, printed), decode(t, rendered)
			if len(want) == 0 || !slices.Equal(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))) {
				t.Fatalf("got  %q\nwant %q", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
			}
			for key := range want {
				if got[key] != want[key] {
					t.Errorf("%s: got\n%s\nwant\n%s", key, got[key], want[key])
				}
			}
		})
	}
}

func TestWrongValuesAreRefused(t *testing.T) {
	for value, want := range map[string]string{
		"webhook.nothing=1":           "nothing", // by the chart's schema
		"imagePullSecrets[x].name=me": "index",   // by the syntax of --set
	} {
		if _, err := Render(t.Context(), "v1.37.2", []string{value}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error about %s", value, err, want)
		}
	}
}
