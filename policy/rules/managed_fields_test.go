// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"pgregory.net/rapid"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

// These tests run the field manager of the API server, so that the rules are tested against its behaviour and not only against fixtures.

// unversioned converts nothing: there is one version of a Node.
type unversioned struct{}

func (unversioned) Convert(any, any, any) error { return nil }

func (unversioned) ConvertToVersion(in runtime.Object, _ runtime.GroupVersioner) (runtime.Object, error) {
	return in, nil
}

func (unversioned) ConvertFieldLabel(_ schema.GroupVersionKind, label, value string) (string, string, error) {
	return label, value, nil
}

func (unversioned) Default(runtime.Object) {}

func (unversioned) New(schema.GroupVersionKind) (runtime.Object, error) {
	return &unstructured.Unstructured{}, nil
}

func newFieldManager(t interface{ Fatal(args ...any) }, subresource string) *managedfields.FieldManager {
	kind := schema.GroupVersionKind{Version: "v1", Kind: "Node"}
	m, err := managedfields.NewDefaultFieldManager(managedfields.NewDeducedTypeConverter(), unversioned{}, unversioned{}, unversioned{},
		kind, kind.GroupVersion(), subresource, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// ownedNode is a Node, or what is applied of one.
type ownedNode struct {
	Labels, Annotations map[string]string
	Taints              []string
	Heartbeat           string
}

func drawOwnedNode(t *rapid.T) ownedNode {
	texts := func(name string) map[string]string {
		return rapid.MapOfN(rapid.SampledFrom([]string{"a", "b", "c", "d"}), rapid.SampledFrom([]string{"", "1", "2"}), 0, 4).Draw(t, name)
	}
	return ownedNode{
		Labels: texts("labels"), Annotations: texts("annotations"), Heartbeat: rapid.SampledFrom([]string{"", "1", "2"}).Draw(t, "heartbeat"),
		Taints: rapid.SliceOfN(rapid.SampledFrom([]string{"x", "y"}), 0, 2).Draw(t, "taints"),
	}
}

func (n ownedNode) object() *unstructured.Unstructured {
	set := func(tree map[string]any, name string, texts map[string]string) {
		if len(texts) > 0 {
			values := map[string]any{}
			for key, value := range texts {
				values[key] = value
			}
			tree[name] = values
		}
	}
	metadata := map[string]any{"name": "worker-1", "uid": "1"}
	set(metadata, "labels", n.Labels)
	set(metadata, "annotations", n.Annotations)
	object := map[string]any{"apiVersion": "v1", "kind": "Node", "metadata": metadata}
	if len(n.Taints) > 0 {
		taints := make([]any, len(n.Taints))
		for i, taint := range n.Taints {
			taints[i] = map[string]any{"key": taint}
		}
		object["spec"] = map[string]any{"taints": taints}
	}
	if n.Heartbeat != "" {
		object["status"] = map[string]any{"phase": n.Heartbeat}
	}
	return &unstructured.Unstructured{Object: object}
}

// updated is the object as an update of it by a manager leaves it. Like a client that knows of managedFields, the update sends
// those that it has read.
func updated(t *rapid.T, stored *unstructured.Unstructured, node ownedNode, manager, subresource string) *unstructured.Unstructured {
	sent := node.object()
	sent.SetManagedFields(stored.GetManagedFields())
	after, err := newFieldManager(t, subresource).Update(stored.DeepCopy(), sent, manager)
	if err != nil {
		t.Fatal(err)
	}
	return after.(*unstructured.Unstructured)
}

// applied is the object as server-side apply with force leaves it.
func applied(t *rapid.T, stored *unstructured.Unstructured, node ownedNode, manager, subresource string) *unstructured.Unstructured {
	object := node.object()
	unstructured.RemoveNestedField(object.Object, "metadata", "uid")
	after, err := newFieldManager(t, subresource).Apply(stored.DeepCopy(), object, manager, true)
	if err != nil {
		t.Fatal(err)
	}
	return after.(*unstructured.Unstructured)
}

// drawOwned is a Node that several managers have updated and applied.
func drawOwned(t *rapid.T) *unstructured.Unstructured {
	stored := updated(t, &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Node"}}, drawOwnedNode(t), "kubelet", "")
	for i := range rapid.IntRange(0, 14).Draw(t, "writes") {
		manager := fmt.Sprintf("manager-%d", rapid.IntRange(0, i).Draw(t, "manager"))
		subresource := rapid.SampledFrom([]string{"", "status"}).Draw(t, "subresource")
		if rapid.Bool().Draw(t, "applies") {
			stored = applied(t, stored, drawOwnedNode(t), manager, subresource)
		} else {
			stored = updated(t, stored, drawOwnedNode(t), manager, subresource)
		}
		stored.SetUID("1")
	}
	return stored
}

func ownershipSet(t interface{ Fatal(args ...any) }) *policy.Set {
	p := &v1alpha1.NodeRestrictionPolicy{}
	p.Name = "test"
	p.Spec.ValidationActions = []v1alpha1.ValidationAction{v1alpha1.Deny}
	p.Spec.Nodes.ManagedFields = &v1alpha1.NodeManagedFields{}
	p.Spec.MirrorPods.ManagedFields = &v1alpha1.MirrorPodManagedFields{}
	p.Spec.Pods.ManagedFields = &v1alpha1.PodManagedFields{}
	compiled, errs := rules.NewCompiler().Compile(p)
	if len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	return policy.NewSet(compiled)
}

func evaluateOwnership(t interface{ Fatal(args ...any) }, before, after *unstructured.Unstructured, subresource string) string {
	r := &policy.Request{
		NodeName: "worker-1", Write: policy.Write{
			Name: "worker-1", Operation: admissionv1.Update, Resource: "nodes", Version: "v1", Subresource: subresource,
		},
	}
	for into, object := range map[*[]byte]*unstructured.Unstructured{&r.OldObject: before, &r.Object: after} {
		data, err := json.Marshal(object.Object)
		if err != nil {
			t.Fatal(err)
		}
		*into = data
	}
	set := ownershipSet(t)
	return set.Evaluate(r).Message()
}

func TestUpdatesAreNoTakeover(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := drawOwned(t)
		subresource := rapid.SampledFrom([]string{"", "status"}).Draw(t, "written")
		after := updated(t, before, drawOwnedNode(t), rapid.SampledFrom([]string{"kubelet", "manager-0", "new"}).Draw(t, "by"), subresource)
		if message := evaluateOwnership(t, before, after, subresource); message != "" {
			t.Errorf("%s\n%s", message, textOf(before, after))
		}
	})
}

func TestServerSideApplyIsATakeover(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := drawOwned(t)
		subresource := rapid.SampledFrom([]string{"", "status"}).Draw(t, "written")
		manager := rapid.SampledFrom([]string{"kubelet", "manager-0", "manager-1", "evil"}).Draw(t, "by")
		after := applied(t, before, drawOwnedNode(t), manager, subresource)
		after.SetUID("1")
		if !takesOver(before, after, manager, subresource) {
			return
		}
		if evaluateOwnership(t, before, after, subresource) == "" {
			t.Errorf("not found in %s", textOf(before, after))
		}
	})
}

// takesOver reports whether the manager's Apply entry owns more than before, or is new.
func takesOver(before, after *unstructured.Unstructured, manager, subresource string) bool {
	entry := func(object *unstructured.Unstructured) string {
		for _, e := range object.GetManagedFields() {
			if e.Manager == manager && e.Operation == "Apply" && e.Subresource == subresource {
				return e.FieldsV1.GetRawString()
			}
		}
		return ""
	}
	was, is := entry(before), entry(after)
	return is != "" && (was == "" || strings.Count(is, "{}") > strings.Count(was, "{}"))
}

// TestDirectEditsAreTakeovers writes managedFields itself: an administrator's entry is removed, renamed, or a claim is added.
func TestDirectEditsAreTakeovers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		node := drawOwnedNode(t)
		node.Labels = map[string]string{"a": "1"}
		before := applied(t, drawOwned(t), node, "admin", "")
		before.SetUID("1")
		sent := before.DeepCopy()
		entries := sent.GetManagedFields()
		i := slices.IndexFunc(entries, func(e metav1.ManagedFieldsEntry) bool { return e.Manager == "admin" })
		switch rapid.SampledFrom([]string{"removed", "renamed", "turned into an update", "emptied"}).Draw(t, "edit") {
		case "removed":
			if len(entries) == 1 {
				return // an empty list is that of a client that does not know of managedFields
			}
			entries = slices.Delete(entries, i, i+1)
		case "renamed":
			entries[i].Manager = "evil"
		case "turned into an update":
			entries[i].Operation = "Update"
		case "emptied":
			entries = []metav1.ManagedFieldsEntry{{}}
		}
		sent.SetManagedFields(entries)
		after, err := newFieldManager(t, "").Update(before.DeepCopy(), sent, "kubelet")
		if err != nil {
			t.Fatal(err)
		}
		if evaluateOwnership(t, before, after.(*unstructured.Unstructured), "") == "" {
			t.Errorf("not found in %s", textOf(before, after.(*unstructured.Unstructured)))
		}
	})
}

func textOf(objects ...*unstructured.Unstructured) string {
	var b strings.Builder
	for _, object := range objects {
		data, _ := json.Marshal(object.Object)
		fmt.Fprintf(&b, "%s\n", data)
	}
	return b.String()
}

// TestOwnershipCostsInProportion counts allocations with lists of n and of 2n entries, labels or levels that all differ.
func TestOwnershipCostsInProportion(t *testing.T) {
	repeat := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	const entry = `{"manager":"%s","operation":"%s","apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{%s}}`
	for name, object := range map[string]func(n int, value string) string{
		"many Apply entries": func(n int, value string) string {
			return repeat(n, fmt.Sprintf(entry, "%d", "Apply", `"f:metadata":{"f:labels":{"f:`+value+`":{}}}`))
		},
		"many Update entries": func(n int, value string) string {
			return repeat(n, fmt.Sprintf(entry, value+"%d", "Update", `"f:metadata":{"f:labels":{"f:a":{}}}`))
		},
		"many labels": func(n int, value string) string {
			return fmt.Sprintf(entry, "m", "Update", `"f:metadata":{"f:labels":{`+repeat(n, `"f:`+value+`%d":{}`)+`}}`)
		},
		"many parts": func(n int, value string) string {
			return fmt.Sprintf(entry, "m", "Update", `"f:spec":{`+repeat(n, `"f:`+value+`%d":{}`)+`}`)
		},
		"a deep tree": func(n int, value string) string {
			return fmt.Sprintf(entry, "m", "Apply", strings.Repeat(`"f:a":{`, n)+`"f:`+value+`":{}`+strings.Repeat("}", n))
		},
	} {
		t.Run(name, func(t *testing.T) {
			const n = 2000
			set := ownershipSet(t)
			cost := func(n int) float64 {
				r := &policy.Request{NodeName: "worker-1", Write: policy.Write{
					Name: "worker-1", Operation: admissionv1.Update, Resource: "nodes",
				}}
				for into, value := range map[*[]byte]string{&r.OldObject: "x", &r.Object: "y"} {
					*into = []byte(`{"metadata":{"name":"worker-1","managedFields":[` + object(n, value) + `]}}`)
				}
				return testing.AllocsPerRun(2, func() {
					if !set.Evaluate(r).Denied() {
						t.Error("not denied")
					}
				})
			}
			if once, twice := cost(n), cost(2*n); twice > 2.5*once+100 {
				t.Errorf("%g allocations for %d, %g for twice as many", once, n, twice)
			}
		})
	}
}
