// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"bytes"
	"os"
	"slices"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"noderestriction.plus/internal/manifest"
)

// TestArtifactHub checks what Chart.yaml tells Artifact Hub: the CRD of the chart, and a policy that is valid; and that the chart has one
// version in both of its forms.
func TestArtifactHub(t *testing.T) {
	data, err := os.ReadFile(chart + "/Chart.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var metadata struct {
		Version, AppVersion string
		Annotations         map[string]string
	}
	if err := yaml.Unmarshal(data, &metadata); err != nil {
		t.Fatal(err)
	}
	if metadata.AppVersion != "v"+metadata.Version {
		t.Errorf("version %q and appVersion %q are not the same version", metadata.Version, metadata.AppVersion)
	}
	var crds []struct{ Kind, Version, Name, DisplayName, Description string }
	if err := yaml.UnmarshalStrict([]byte(metadata.Annotations["artifacthub.io/crds"]), &crds); err != nil {
		t.Fatal(err)
	}
	crd := render(t).crd
	if len(crds) != 1 || crds[0].Kind != crd.Spec.Names.Kind || crds[0].Name != crd.Name || !slices.ContainsFunc(crd.Spec.Versions,
		func(v apiextensionsv1.CustomResourceDefinitionVersion) bool { return v.Name == crds[0].Version }) {
		t.Errorf("artifacthub.io/crds says %+v", crds)
	}
	var examples []map[string]any
	if err := yaml.Unmarshal([]byte(metadata.Annotations["artifacthub.io/crdsExamples"]), &examples); err != nil {
		t.Fatal(err)
	}
	for _, example := range examples {
		text, err := yaml.Marshal(example)
		if err != nil {
			t.Fatal(err)
		}
		if policies, err := manifest.Policies(bytes.TrimSpace(text)); err != nil || len(policies) != 1 {
			t.Errorf("an example of artifacthub.io/crdsExamples is not one valid policy: %v\n%s", err, text)
		}
	}
}
