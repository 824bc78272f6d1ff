// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package follow

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/conditions"
	"noderestriction.plus/internal/program"
	"noderestriction.plus/internal/wiring"
)

const (
	// baseAnnotation has the digest of the file with which the chart rendered the configuration.
	baseAnnotation = v1alpha1.GroupName + "/base"
	// writtenAnnotation says what the program wrote into an object.
	writtenAnnotation = v1alpha1.GroupName + "/conditions"
	// fieldManager is the field manager of the writes, only until the next request: see [disown].
	fieldManager = program.Name + "-conditions"
)

// written is the content of writtenAnnotation.
type written struct {
	// Version is the version of the program.
	Version string `json:"version"`
	// Digest is that of the conditions.
	Digest string `json:"digest"`
}

// operation is one of a JSON patch.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// digestOf returns the digest of what can be written as JSON.
func digestOf(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // only texts and types of the API
	}
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// author is who wrote the conditions that an object has.
type author string

const (
	theProgram   author = "program"
	theChart     author = "chart"
	somebodyElse author = "somebody else"
)

// annotated returns what the program says to have written into an object.
func annotated(object metav1.Object) written {
	var w written
	if json.Unmarshal([]byte(object.GetAnnotations()[writtenAnnotation]), &w) != nil {
		return written{} // somebody changed it
	}
	return w
}

// annotate returns the operation that says what the program has written into an object with annotations.
func annotate(object metav1.Object, digest string) operation {
	text, err := json.Marshal(written{program.Version(), digest})
	if err != nil {
		panic(err) // only texts
	}
	if len(object.GetAnnotations()) == 0 {
		return operation{"add", "/metadata/annotations", map[string]string{writtenAnnotation: string(text)}}
	}
	return operation{"add", "/metadata/annotations/noderestriction.plus~1conditions", string(text)}
}

// atVersion returns the operations with one that fails unless the object still is the one that was read.
func atVersion(object metav1.Object, operations []operation) []operation {
	return append([]operation{{"test", "/metadata/resourceVersion", object.GetResourceVersion()}}, operations...)
}

// disown returns the operations with which the program gives up the ownership of all it has written. Nil: it owns nothing.
func disown(object metav1.Object) []operation {
	var operations []operation
	entries := object.GetManagedFields()
	for i := len(entries) - 1; i >= 0; i-- {
		if entries[i].Manager == fieldManager && entries[i].Operation == metav1.ManagedFieldsOperationUpdate {
			operations = append(operations, operation{Op: "remove", Path: fmt.Sprintf("/metadata/managedFields/%d", i)})
		}
	}
	if operations == nil {
		return nil
	}
	return atVersion(object, operations)
}

// conditionsOf returns the match conditions of those webhooks that others have, too.
func conditionsOf(webhooks []admissionregistrationv1.ValidatingWebhook, others conditions.Webhooks) conditions.Webhooks {
	found := conditions.Webhooks{}
	for i := range webhooks {
		if _, named := others[webhooks[i].Name]; named {
			found[webhooks[i].Name] = webhooks[i].MatchConditions
		}
	}
	return found
}

// differing returns the names of the webhooks whose conditions differ, sorted.
func differing(want, have conditions.Webhooks) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if !slices.Equal(want[name], have[name]) {
			names = append(names, name)
		}
	}
	return names
}

// digested returns conditions with digests in place of expressions, as the chart says to have installed them.
func digested(list []admissionregistrationv1.MatchCondition) []admissionregistrationv1.MatchCondition {
	digests := make([]admissionregistrationv1.MatchCondition, len(list))
	for i := range list {
		digests[i] = admissionregistrationv1.MatchCondition{Name: list[i].Name, Expression: wiring.Digest(list[i].Expression)}
	}
	return digests
}

// patchConditions returns the operations that set the match conditions of each webhook. The error names webhooks that do not exist.
func patchConditions(c *admissionregistrationv1.ValidatingWebhookConfiguration, want conditions.Webhooks) ([]operation, error) {
	var operations []operation
	missing := maps.Clone(want)
	for i := range c.Webhooks {
		list, wanted := want[c.Webhooks[i].Name]
		delete(missing, c.Webhooks[i].Name)
		if wanted && !slices.Equal(list, c.Webhooks[i].MatchConditions) {
			operations = append(operations, operation{"add", fmt.Sprintf("/webhooks/%d/matchConditions", i), list})
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("the webhooks %q are missing", slices.Sorted(maps.Keys(missing)))
	}
	if digest := digestOf(want); operations != nil || annotated(c).Digest != digest {
		operations = atVersion(c, append(operations, annotate(c, digest)))
	}
	return operations, nil
}

// authorOfConditions returns who wrote the conditions of a configuration.
func authorOfConditions(c *admissionregistrationv1.ValidatingWebhookConfiguration, names conditions.Webhooks) author {
	have := conditionsOf(c.Webhooks, names)
	if annotated(c).Digest == digestOf(have) {
		return theProgram
	}
	installed, err := wiring.Decode[wiring.Installed](c.Annotations)
	if err != nil {
		return somebodyElse
	}
	for name, list := range conditionsOf(installed.Webhooks, names) {
		if !slices.Equal(list, digested(have[name])) {
			return somebodyElse
		}
	}
	return theChart
}

func floorOf(p *admissionregistrationv1.ValidatingAdmissionPolicy) conditions.Floor {
	return conditions.Floor{Variables: p.Spec.Variables, Validations: p.Spec.Validations, AuditAnnotations: p.Spec.AuditAnnotations}
}

// patchFloor returns the operations that set these parts of the policy.
func patchFloor(p *admissionregistrationv1.ValidatingAdmissionPolicy, want *conditions.Floor) []operation {
	have := floorOf(p)
	var operations []operation
	set := func(path string, have, want any, size, wanted int) {
		switch {
		case equality.Semantic.DeepEqual(have, want):
		case wanted > 0:
			operations = append(operations, operation{"add", path, want})
		case size > 0:
			operations = append(operations, operation{Op: "remove", Path: path})
		}
	}
	set("/spec/variables", have.Variables, want.Variables, len(have.Variables), len(want.Variables))
	set("/spec/validations", have.Validations, want.Validations, len(have.Validations), len(want.Validations))
	set("/spec/auditAnnotations", have.AuditAnnotations, want.AuditAnnotations, len(have.AuditAnnotations), len(want.AuditAnnotations))
	if digest := digestOf(want); operations != nil || annotated(p).Digest != digest {
		operations = atVersion(p, append(operations, annotate(p, digest)))
	}
	return operations
}

// floorAuthor returns who wrote these parts of the policy.
func floorAuthor(p *admissionregistrationv1.ValidatingAdmissionPolicy) author {
	have := floorOf(p)
	if annotated(p).Digest == digestOf(&have) {
		return theProgram
	}
	chart, err := wiring.Decode[admissionregistrationv1.ValidatingAdmissionPolicySpec](p.Annotations)
	if err != nil || len(chart.Validations) != len(have.Validations) || len(chart.Variables) != len(have.Variables) ||
		len(chart.AuditAnnotations) != len(have.AuditAnnotations) {
		return somebodyElse
	}
	for i := range have.Validations {
		if chart.Validations[i].Expression != wiring.Digest(have.Validations[i].Expression) {
			return somebodyElse
		}
	}
	return theChart
}
