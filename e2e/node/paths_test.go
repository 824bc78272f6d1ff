// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// changedPaths returns the fields that differ between the old and the new object of a write, in the notation of
// policy/rules/testdata/shapes.tsv.
func changedPaths(request *admissionv1.AdmissionRequest) ([]string, error) {
	before, err := decode(request.OldObject)
	if err != nil {
		return nil, err
	}
	after, err := decode(request.Object)
	if err != nil {
		return nil, err
	}
	d := difference{operation: request.Operation}
	if request.Operation == admissionv1.Delete {
		return d.deletion(request.Options, before)
	}
	for _, section := range []string{"metadata", "spec", "status"} {
		d.section(section, child(before, section), child(after, section))
	}
	if len(d.paths) == 0 {
		d.paths = []string{"(nothing)"}
	}
	return d.paths, nil
}

func decode(raw runtime.RawExtension) (map[string]any, error) {
	if len(raw.Raw) == 0 {
		return nil, nil //nolint:nilnil // no object
	}
	var object map[string]any
	err := json.Unmarshal(raw.Raw, &object)
	return object, err
}

func child(object map[string]any, name string) map[string]any {
	c, _ := object[name].(map[string]any)
	return c
}

// difference collects the fields in which two objects differ.
type difference struct {
	operation admissionv1.Operation
	paths     []string
}

func (d *difference) deletion(raw runtime.RawExtension, before map[string]any) ([]string, error) {
	options, err := decode(raw)
	if err != nil {
		return nil, err
	}
	if grace, found := options["gracePeriodSeconds"]; found {
		d.paths = append(d.paths, fmt.Sprintf("options.gracePeriodSeconds=%v", grace))
	}
	if options["preconditions"] != nil {
		d.paths = append(d.paths, "options.preconditions")
	}
	if annotations := child(child(before, "metadata"), "annotations"); annotations["kubernetes.io/config.mirror"] != nil {
		d.paths = append(d.paths, "(mirror pod)")
	}
	if child(before, "metadata")["deletionTimestamp"] != nil {
		d.paths = append(d.paths, "(old object is being deleted)")
	}
	return d.paths, nil
}

// differing returns the keys of two maps that have different values.
func differing(before, after map[string]any) []string {
	keys := map[string]bool{}
	for key := range before {
		keys[key] = true
	}
	for key := range after {
		keys[key] = true
	}
	maps.DeleteFunc(keys, func(key string, _ bool) bool { return reflect.DeepEqual(before[key], after[key]) })
	return slices.Sorted(maps.Keys(keys))
}

// add adds a path, with + if the field was absent and - if it is gone. The fields of a new object have neither.
func (d *difference) add(path string, before, after any) {
	switch {
	case d.operation == admissionv1.Create:
	case before == nil:
		path = "+" + path
	case after == nil:
		path = "-" + path
	}
	if !slices.Contains(d.paths, path) {
		d.paths = append(d.paths, path)
	}
}

func (d *difference) section(section string, before, after map[string]any) {
	for _, key := range differing(before, after) {
		path := section + "." + key
		switch path {
		case "metadata.managedFields", "metadata.resourceVersion", "metadata.generation", "metadata.uid", "metadata.creationTimestamp":
		case "metadata.labels", "metadata.annotations", "status.allocatedResources":
			d.keyed(path, child(before, key), child(after, key))
		case "status.capacity", "status.allocatable":
			if d.operation == admissionv1.Create {
				d.add(path, nil, after[key])
				continue
			}
			d.keyed(path, child(before, key), child(after, key))
		case "status.resources":
			d.nested(path, child(before, key), child(after, key))
		case "status.conditions":
			d.conditions(elements(before[key], "type"), elements(after[key], "type"))
		case "status.addresses":
			d.keyed(path, elements(before[key], "type"), elements(after[key], "type"))
		case "metadata.ownerReferences":
			d.keyed(path, elements(before[key], "kind"), elements(after[key], "kind"))
		case "spec.taints":
			d.keyed(path, elements(before[key], "key", "effect"), elements(after[key], "key", "effect"))
		case "status.containerStatuses", "status.initContainerStatuses", "status.ephemeralContainerStatuses":
			d.containers(path, elements(before[key], "name"), elements(after[key], "name"))
		default:
			d.add(path, before[key], after[key])
		}
	}
}

// elements returns the elements of a list by these fields.
func elements(list any, fields ...string) map[string]any {
	byName := map[string]any{}
	all, _ := list.([]any)
	for _, element := range all {
		object, _ := element.(map[string]any)
		var names []string
		for _, field := range fields {
			name, _ := object[field].(string)
			names = append(names, name)
		}
		byName[strings.Join(names, ":")] = element
	}
	return byName
}

func (d *difference) keyed(path string, before, after map[string]any) {
	for _, key := range differing(before, after) {
		d.add(path+"["+key+"]", before[key], after[key])
	}
}

func (d *difference) nested(path string, before, after map[string]any) {
	for _, key := range differing(before, after) {
		inner, isMap := after[key].(map[string]any)
		innerBefore, wasMap := before[key].(map[string]any)
		if isMap || wasMap {
			d.nested(path+"."+key, innerBefore, inner)
			continue
		}
		d.add(path+"."+key, before[key], after[key])
	}
}

// conditions tells the heartbeat and other changes of times from those of the state.
func (d *difference) conditions(before, after map[string]any) {
	const path = "status.conditions"
	for _, kind := range differing(before, after) {
		old, _ := before[kind].(map[string]any)
		updated, _ := after[kind].(map[string]any)
		fields := differing(old, updated)
		switch {
		case old == nil || updated == nil:
			d.add(path+"["+kind+"]", before[kind], after[kind])
		case slices.ContainsFunc(fields, func(f string) bool { return f == "status" || f == "reason" || f == "message" }):
			d.add(path+"["+kind+"]", old, updated)
		case slices.Equal(fields, []string{"lastHeartbeatTime"}):
			d.add(path+"[*].lastHeartbeatTime", old, updated)
		default:
			d.add(path+"["+kind+"] (times, observedGeneration)", old, updated)
		}
	}
}

func (d *difference) containers(path string, before, after map[string]any) {
	for _, name := range differing(before, after) {
		old, _ := before[name].(map[string]any)
		updated, _ := after[name].(map[string]any)
		if old == nil || updated == nil {
			d.add(path+"[]", before[name], after[name])
			continue
		}
		for _, field := range differing(old, updated) {
			p := path + "[]." + field
			if field == "state" || field == "lastState" {
				d.add(p+": "+kindOf(old[field])+"→"+kindOf(updated[field]), old, updated)
				continue
			}
			// A field of a container's status that is absent has no other meaning than one that is empty.
			d.add(p, old, updated)
		}
	}
}

// kindOf is the kind of a container's state.
func kindOf(state any) string {
	object, _ := state.(map[string]any)
	for kind := range object {
		return kind
	}
	return "none"
}

// TestChangedPaths shows the notation on small writes.
func TestChangedPaths(t *testing.T) {
	for _, test := range []struct {
		name, before, after string
		want                []string
	}{
		{
			"a heartbeat", `{"status":{"conditions":[{"type":"Ready","lastHeartbeatTime":"1"}]}}`,
			`{"status":{"conditions":[{"type":"Ready","lastHeartbeatTime":"2"}]}}`,
			[]string{"status.conditions[*].lastHeartbeatTime"},
		},
		{
			"a container starts", `{"status":{"containerStatuses":[{"name":"c","state":{"waiting":{}}}]}}`,
			`{"status":{"containerStatuses":[{"name":"c","state":{"running":{}}}]}}`,
			[]string{"status.containerStatuses[].state: waiting→running"},
		},
		{"a label is added", `{"metadata":{"labels":{}}}`, `{"metadata":{"labels":{"a/b":"c"}}}`, []string{"+metadata.labels[a/b]"}},
		{"an address is gone", `{"status":{"podIP":"1"}}`, `{"status":{}}`, []string{"-status.podIP"}},
		{"nothing of interest", `{"metadata":{"resourceVersion":"1"}}`, `{"metadata":{"resourceVersion":"2"}}`, []string{"(nothing)"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := changedPaths(&admissionv1.AdmissionRequest{
				Operation: admissionv1.Update,
				OldObject: runtime.RawExtension{Raw: []byte(test.before)}, Object: runtime.RawExtension{Raw: []byte(test.after)},
			})
			if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("got %q, %v, want %q", got, err, test.want)
			}
		})
	}
}
