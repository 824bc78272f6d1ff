// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"maps"
	"os"
	"reflect"
	"slices"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"sigs.k8s.io/yaml"
)

func TestCRD(t *testing.T) {
	data, err := os.ReadFile("../config/crd/noderestriction.plus_noderestrictionpolicies.yaml")
	if err != nil {
		t.Fatal(err)
	}
	generated := &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict(data, generated); err != nil {
		t.Fatal(err)
	}
	crd := render(t).crd
	if !reflect.DeepEqual(crd.Spec, generated.Spec) {
		t.Error("the chart's CRD is not that of config/crd: run make generate")
	}
	if crd.Annotations["helm.sh/resource-policy"] != "keep" {
		t.Error("helm uninstall would remove every policy")
	}
	if render(t, "--set", "crds.keep=false").crd.Annotations["helm.sh/resource-policy"] != "" {
		t.Error("crds.keep=false keeps the CRD")
	}
	if render(t, "--set", "crds.enabled=false").crd != nil {
		t.Error("crds.enabled=false renders the CRD")
	}
}

// TestCRDIsAccepted runs the API server's validation: the schema is structural, and what its CEL rules may cost is in bounds.
func TestCRDIsAccepted(t *testing.T) {
	crd := render(t).crd
	apiextensionsv1.SetDefaults_CustomResourceDefinition(crd)
	apiextensionsv1.SetDefaults_CustomResourceDefinitionSpec(&crd.Spec)
	internal := &apiextensions.CustomResourceDefinition{}
	if err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(crd, internal, nil); err != nil {
		t.Fatal(err)
	}
	internal.Status.StoredVersions = []string{"v1alpha1"}
	for _, err := range validation.ValidateCustomResourceDefinition(t.Context(), internal) {
		t.Error(err)
	}
}

// The parts of the schema that are Kubernetes' own and cannot be given bounds where they are used.
var unbounded = []string{
	"spec.match.nodeSelector.matchLabels", "spec.match.nodeSelector.matchLabels.*",
	"spec.match.nodeSelector.matchExpressions",
	"spec.match.nodeSelector.matchExpressions[].key", "spec.match.nodeSelector.matchExpressions[].operator",
	"spec.match.nodeSelector.matchExpressions[].values", "spec.match.nodeSelector.matchExpressions[].values[]",
	"status.conditions[].lastTransitionTime",
}

func TestSchemaIsBoundedAndDocumented(t *testing.T) {
	schema := render(t).crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	for _, part := range []string{"spec", "status"} {
		checkSchema(t, part, new(schema.Properties[part]))
	}
}

func checkSchema(t *testing.T, path string, s *apiextensionsv1.JSONSchemaProps) {
	if !slices.Contains(unbounded, path) {
		switch {
		case s.Type == "array" && s.MaxItems == nil, s.Type == "string" && s.MaxLength == nil && s.Enum == nil && s.Format == "",
			s.AdditionalProperties != nil && s.MaxProperties == nil:
			t.Errorf("%s has no bound", path)
		}
	}
	if s.Items != nil {
		checkSchema(t, path+"[]", s.Items.Schema)
	}
	if s.AdditionalProperties != nil {
		checkSchema(t, path+".*", s.AdditionalProperties.Schema)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		property := s.Properties[name]
		if property.Description == "" {
			t.Errorf("%s.%s is not documented", path, name)
		}
		checkSchema(t, path+"."+name, &property)
	}
}
