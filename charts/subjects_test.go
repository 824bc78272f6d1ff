// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"strings"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"

	"noderestriction.plus/api/v1alpha1"
	allrules "noderestriction.plus/policy/rules"
)

// TestSubjectsInTheSchema checks that the rules of the CRD refuse beside subjects, and without them, what the webhook refuses, and name the
// section.
func TestSubjectsInTheSchema(t *testing.T) {
	internal := &apiextensions.JSONSchemaProps{}
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(specOfPolicy(t), internal, nil); err != nil {
		t.Fatal(err)
	}
	schema, err := structuralschema.NewStructural(internal)
	if err != nil {
		t.Fatal(err)
	}
	validator := cel.NewValidator(schema, false, celconfig.PerCallLimit)
	const agents = "subjects: {serviceAccounts: [{namespace: a, name: b}]}\n"
	for spec, path := range map[string]string{
		agents:                       "",
		agents + "nodes: {self: {}}": "",
		agents + "nodes: {taints: {removable: [{key: a}]}}\npods: {spec: {}}\nobjects: [{apiGroup: a, resource: b, node: c}]": "",
		agents + "nodes: {labels: {update: {allowed: [a], fixed: [b]}}, annotations: {allowed: [a], maxTotalBytes: 2048}}":    "",
		agents + "nodes: {addresses: {allowedTypes: [InternalIP]}, capacity: {max: {cpu: 1}}}":                                "",
		agents + "lockdown: {}\nmatch: {nodeNames: [a]}":                                                                      "",
		"subjects: {}":                                                         "subjects",
		"subjects: {usernamePrefixes: [\"a:\"]}":                               "",
		"subjects: {usernamePrefixes: [\"system:\"]}":                          "subjects.usernamePrefixes[0]",
		"subjects: {usernamePrefixes: [\"system:node:\"]}":                     "subjects.usernamePrefixes[0]",
		"subjects: {usernamePrefixes: [\"system:serviceaccount:a:\"]}":         "subjects.usernamePrefixes[0]",
		agents + "objects: [{resource: nodes, node: metadata.name}]":           "objects[0]",
		agents + "objects: [{resource: configmaps, node: metadata.name}]":      "",
		agents + "objects: [{apiGroup: a, resource: nodes, node: a}]":          "",
		agents + "baseline: {}":                                                "baseline",
		agents + "mirrorPods: {labels: {}}":                                    "mirrorPods",
		agents + "serviceAccountTokens: {}":                                    "serviceAccountTokens",
		agents + "csiNodes: {}":                                                "csiNodes",
		agents + "resourceSlices: {}":                                          "resourceSlices",
		agents + "events: {}":                                                  "events",
		agents + "nodes: {names: {}}":                                          "nodes.names",
		agents + "nodes: {labels: {registration: {}}}":                         "nodes.labels",
		agents + "nodes: {labels: {update: {additions: Any}}}":                 "nodes.labels.update",
		agents + "nodes: {annotations: {providedNodeIPCIDRs: [10.0.0.0/8]}}":   "nodes.annotations",
		agents + "nodes: {annotations: {providedNodeIPOfOtherNodes: Deny}}":    "nodes.annotations",
		agents + "nodes: {taints: {allowed: [{key: a}]}}":                      "nodes.taints",
		agents + "nodes: {taints: {required: [{key: a}]}}":                     "nodes.taints",
		agents + "nodes: {providerID: {allowed: [a]}}":                         "nodes.providerID",
		agents + "nodes: {providerID: {ofOtherNodes: Deny}}":                   "nodes.providerID",
		agents + "nodes: {kubeletPorts: {allowed: [10250]}}":                   "nodes.kubeletPorts",
		agents + "nodes: {images: {maxCount: 1}}":                              "nodes.images",
		agents + "nodes: {images: {allowedRepositories: [a]}}":                 "nodes.images",
		agents + "nodes: {info: {machineChanges: Deny}}":                       "nodes.info",
		agents + "nodes: {info: {allowed: {architecture: [a]}}}":               "nodes.info",
		agents + "nodes: {volumes: {maxInUse: 1}}":                             "nodes.volumes",
		agents + "nodes: {features: {allowed: [a]}}":                           "nodes.features",
		agents + "pods: {ips: {podIPs: {}}}":                                   "pods.ips",
		agents + "pods: {ips: {hostIPs: {}}}":                                  "pods.ips",
		agents + "pods: {deletion: {mode: Finished}}":                          "pods.deletion",
		"objects: [{apiGroup: a, resource: b, node: c}]":                       "objects",
		"nodes: {taints: {removable: [{key: a}]}}":                             "nodes.taints.removable",
		"pods: {spec: {}}":                                                     "pods.spec",
		"nodes: {labels: {registration: {}}}\nmirrorPods: {}\npods: {ips: {}}": "",
	} {
		t.Run(spec, func(t *testing.T) {
			var object map[string]any
			if err := yaml.Unmarshal([]byte("validationActions: [Deny]\n"+spec), &object); err != nil {
				t.Fatal(err)
			}
			errs, _ := validator.Validate(t.Context(), nil, schema, object, nil, celconfig.RuntimeCELCostBudget)
			switch {
			case path == "" && len(errs) == 0:
			case len(errs) != 1 || strings.TrimPrefix(errs[0].Field, "<nil>.") != path && strings.TrimPrefix(errs[0].Field, ".") != path:
				t.Errorf("the schema says %v, want an error of %q", errs.ToAggregate(), path)
			}
			p := &v1alpha1.NodeRestrictionPolicy{}
			if err := yaml.UnmarshalStrict([]byte("validationActions: [Deny]\n"+spec), &p.Spec); err != nil {
				t.Fatal(err)
			}
			if _, bad := allrules.NewCompiler().Compile(p); (len(bad) == 0) != (len(errs) == 0) {
				t.Errorf("the schema says %v, and the webhook %v", errs.ToAggregate(), bad.ToAggregate())
			}
		})
	}
}
