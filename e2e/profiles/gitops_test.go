// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package profiles_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"noderestriction.plus/e2e/project"
	"noderestriction.plus/e2e/suite"
)

// TestSecondSyncChangesNothing renders the chart with the values of each file in config/gitops, and with every switch, and applies it twice
// as Argo CD does. The second time no object may change, or a GitOps tool would report it as out of sync for ever.
func TestSecondSyncChangesNothing(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	const known = "--api-versions=noderestriction.plus/v1alpha1"
	for name, values := range map[string][]string{
		"Argo CD":      {"--values=" + gitopsValues(t, "argocd/application.yaml", "spec", "source", "helm", "valuesObject")},
		"Flux":         {"--values=" + gitopsValues(t, "flux/release.yaml", "spec", "values")},
		"every switch": everySwitch("--set=clientCertificates.secret=clients"),
	} {
		t.Run(name, func(t *testing.T) { // one after the other: they have the same names
			objects := s.objects(t, helmTemplate(t, s.helm, append(values, known, "--skip-tests")...))
			if len(objects) < 15 {
				t.Fatalf("only %d objects are rendered", len(objects))
			}
			first := s.sync(t, objects)
			for what, version := range s.sync(t, objects) {
				if version != first[what] {
					t.Errorf("%s changes from version %s to %s", what, first[what], version)
				}
			}
		})
	}
}

// sync applies objects as Argo CD does with ServerSideApply=true, and returns their versions.
func (s *server) sync(t *testing.T, objects []*unstructured.Unstructured) map[string]string {
	t.Helper()
	versions := map[string]string{}
	for _, object := range objects {
		what := object.GetKind() + " " + object.GetNamespace() + "/" + object.GetName()
		mapping, err := s.mapper.RESTMapping(object.GroupVersionKind().GroupKind(), object.GroupVersionKind().Version)
		suite.Check(t, err)
		resource := s.client.Resource(mapping.Resource)
		data, err := object.MarshalJSON()
		suite.Check(t, err)
		options := metav1.PatchOptions{FieldManager: "argocd-controller", Force: new(true)}
		var applied *unstructured.Unstructured
		if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
			applied, err = resource.Namespace(object.GetNamespace()).Patch(
				t.Context(), object.GetName(), "application/apply-patch+yaml", data, options)
		} else {
			applied, err = resource.Patch(t.Context(), object.GetName(), "application/apply-patch+yaml", data, options)
		}
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		versions[what] = applied.GetResourceVersion()
	}
	return versions
}

// gitopsValues writes the chart's values in a file of config/gitops into a file of their own, and returns its path.
func gitopsValues(t *testing.T, name string, fields ...string) string {
	t.Helper()
	root, err := project.Root()
	suite.Check(t, err)
	data, err := os.ReadFile(filepath.Join(root, "config", "gitops", name))
	suite.Check(t, err)
	for _, document := range strings.Split(string(data), "\n---\n") {
		var object map[string]any
		suite.Check(t, yaml.Unmarshal([]byte(document), &object))
		values, found, err := unstructured.NestedMap(object, fields...)
		suite.Check(t, err)
		if !found {
			continue
		}
		text, err := json.Marshal(values)
		suite.Check(t, err)
		path := filepath.Join(t.TempDir(), "values.yaml")
		suite.Check(t, os.WriteFile(path, text, 0o600))
		return path
	}
	t.Fatalf("%s has no values", name)
	return ""
}
