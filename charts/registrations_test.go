// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/managedfields"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/review"
	"noderestriction.plus/internal/shapetest"
	"noderestriction.plus/policy"
)

// registrations returns the recorded registrations of Nodes, with what an API server adds before validating admission.
func registrations(t *testing.T) map[string]policy.Request {
	t.Helper()
	data, err := os.ReadFile("../policy/rules/testdata/shapes.tsv")
	if err != nil {
		t.Fatal(err)
	}
	shapes, err := shapetest.Read(data)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]policy.Request{}
	for _, shape := range shapes {
		r := shape.Request
		if r.Resource == "nodes" && r.Operation == admissionv1.Create {
			r.Object = tracked(t, r.Object)
			found[shape.Name] = r
		}
	}
	if len(found) != 6 {
		t.Fatalf("there are %d registrations, want 6", len(found))
	}
	return found
}

// tracked returns a new object with the owners that an API server writes into it, and with the fields that it sets.
func tracked(t *testing.T, object []byte) []byte {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := json.Unmarshal(object, &u.Object); err != nil {
		t.Fatal(err)
	}
	u.SetAPIVersion("v1")
	u.SetKind("Node")
	owned := u.DeepCopy()
	for _, name := range []string{"apiVersion", "kind"} {
		unstructured.RemoveNestedField(owned.Object, name)
	}
	unstructured.RemoveNestedField(owned.Object, "metadata", "name")
	typed, err := managedfields.NewDeducedTypeConverter().ObjectToTyped(owned)
	if err != nil {
		t.Fatal(err)
	}
	set, err := typed.ToFieldSet()
	if err != nil {
		t.Fatal(err)
	}
	fields, err := set.ToJSON()
	if err != nil {
		t.Fatal(err)
	}
	u.SetUID("8a9f1c4e-2b7d-4e0a-9a53-0d8e6f7b1c2d")
	u.SetCreationTimestamp(metav1.Unix(1_790_000_000, 0))
	u.SetManagedFields([]metav1.ManagedFieldsEntry{managed("kubelet", metav1.ManagedFieldsOperationUpdate, 1_790_000_000, string(fields))})
	return mustMarshal(u.Object)
}

// TestFollowedRegistrationsAreNotSent checks that the registration of a stock kubelet is not sent under any preset that denies, with
// conditions that follow it, on any distribution.
func TestFollowedRegistrationsAreNotSent(t *testing.T) {
	writes := registrations(t)
	for _, name := range append([]string{""}, distributions(t)...) {
		arguments := following()
		if name != "" {
			arguments = append(arguments, "--set", "policies.distribution="+name)
		}
		r := render(t, arguments...)
		f := &follower{webhooks: r.webhooks, base: baseOf(t, r), callers: map[string]*caller{}}
		for _, preset := range []string{"recommended", "strict"} {
			p := presetNamed(t, preset)
			if name != "" {
				p = adapted(t, preset, name)
			}
			t.Run(preset+" "+name, func(t *testing.T) {
				for shape, write := range writes {
					if called, _ := f.calls(t, []*v1alpha1.NodeRestrictionPolicy{p}, v1alpha1.Deny, write); len(called) > 0 {
						t.Errorf("%s is sent to %v: %s", shape, called, write.Object)
					}
				}
			})
		}
	}
}

// TestFollowedClaimsOfNewNodes checks which entries of a new Node are sent. What may violate the rule always is.
func TestFollowedClaimsOfNewNodes(t *testing.T) {
	const apply, update = metav1.ManagedFieldsOperationApply, metav1.ManagedFieldsOperationUpdate
	r := render(t, following()...)
	f := &follower{webhooks: r.webhooks, base: baseOf(t, r), callers: map[string]*caller{}}
	p := &v1alpha1.NodeRestrictionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "a"}}
	p.Spec.ValidationActions = []v1alpha1.ValidationAction{v1alpha1.Deny}
	p.Spec.Nodes.ManagedFields = &v1alpha1.NodeManagedFields{}
	policies := []*v1alpha1.NodeRestrictionPolicy{p}
	const usual = `{"f:metadata":{"f:annotations":{".":{},"f:note":{}},"f:labels":{".":{},"f:role":{}}},"f:spec":{"f:taints":{}}}`
	one := func(fields string) []metav1.ManagedFieldsEntry {
		return []metav1.ManagedFieldsEntry{managed("kubelet", update, 10, usual), managed("evil", update, 10, fields)}
	}
	many := slices.Repeat(one(usual), 5)
	for i := range many {
		many[i].Manager += string(rune('a' + i))
	}
	full := []metav1.ManagedFieldsEntry{}
	for i := range 4 {
		full = append(full, managed(strings.Repeat("m", 127)+strconv.Itoa(i), update, 10,
			`{"f:metadata":{"f:labels":`+claimsOf(128)+`,"f:annotations":`+claimsOf(128)+`}}`))
	}
	object := newNodeWith(128)
	for name, test := range map[string]struct {
		entries []metav1.ManagedFieldsEntry
		sent    bool
	}{
		"what an API server writes":              {one(usual)[:1], false},
		"no entry":                               {nil, false},
		"an entry without fields":                {one("{}"), false},
		"claims of what is there":                {one(`{".":{},"f:metadata":{".":{},"f:labels":{"f:role":{}}}}`), false},
		"a status that no kubelet sets":          {one(`{"f:status":{"f:other":{}}}`), false},
		"as much as is read":                     {full, false},
		"a claim with a long name":               {one(`{"f:metadata":{"f:labels":{"f:` + strings.Repeat("a", 1<<20) + `":{}}}}`), true},
		"an entry that is applied":               {[]metav1.ManagedFieldsEntry{managed("kubelet", apply, 10, usual)}, true},
		"a label that admission has removed":     {one(`{"f:metadata":{"f:labels":{"f:example.com/pool":{}}}}`), true},
		"a claim of a reserved label":            {one(`{"f:metadata":{"f:labels":{"f:node-restriction.kubernetes.io/a":{}}}}`), true},
		"a claim of an annotation":               {one(`{"f:metadata":{"f:annotations":{"f:example.com/a":{}}}}`), true},
		"a claim of all finalizers":              {one(`{"f:metadata":{"f:finalizers":{}}}`), true},
		"a claim of an owner":                    {one(`{"f:metadata":{"f:ownerReferences":{"k:{\"uid\":\"a\"}":{}}}}`), true},
		"a claim of a key":                       {one(`{"f:metadata":{"k:{\"uid\":\"a\"}":{}}}`), true},
		"a claim without a field's name":         {one(`{"f:metadata":{"f:labels":{"f:":{}}}}`), true},
		"a label in another form":                {one(`{"f:metadata":{"f:labels":{"v:\"role\"":{}}}}`), true},
		"labels that are a list":                 {one(`{"f:metadata":{"f:labels":[]}}`), true},
		"labels that are a text":                 {one(`{"f:metadata":{"f:labels":"a"}}`), true},
		"annotations that are null":              {one(`{"f:metadata":{"f:annotations":null}}`), true},
		"metadata that is a number":              {one(`{"f:metadata":1}`), true},
		"spec that is true":                      {one(`{"f:spec":true}`), true},
		"fields that are a list":                 {one(`[{}]`), true},
		"fields that are a text":                 {one(`"f:metadata"`), true},
		"two entries of one manager":             {append(one("{}"), one("{}")[0]), true},
		"more entries than are read":             {many, true},
		"more labels than are read":              {one(`{"f:metadata":{"f:labels":` + claimsOf(200) + `}}`), true},
		"more annotations than are read":         {one(`{"f:metadata":{"f:annotations":` + claimsOf(200) + `}}`), true},
		"two claims, and one of them is missing": {one(`{"f:metadata":{"f:labels":{"f:role":{},"f:k8s.io/a":{}}}}`), true},
	} {
		t.Run(name, func(t *testing.T) {
			write := policy.Request{NodeName: "n1", InNodesGroup: true, User: review.UserOf("n1"), Write: policy.Write{
				Version: "v1", Name: "n1", Operation: admissionv1.Create, Resource: "nodes",
				Object: setManaged(object, test.entries),
			}}
			violated, verified := byEngine(t, policies, write)
			for _, action := range []v1alpha1.ValidationAction{v1alpha1.Deny, v1alpha1.Audit} {
				for _, f.unstructured = range []bool{false, true} {
					called, _ := f.calls(t, policies, action, write)
					if (len(called) > 0) != test.sent {
						t.Errorf("%s, unstructured %t: called are %v, want one: %t", action, f.unstructured, called, test.sent)
					}
				}
			}
			if (len(violated) > 0 || !verified) && !test.sent {
				t.Errorf("it violates %v, and is not sent", violated)
			}
		})
	}
}

// keyNumbered is a label or an annotation, as long as the API server allows.
func keyNumbered(i int) string {
	return strings.Repeat("a", 250) + ".io/" + fmt.Sprintf("%063d", i)
}

// claimsOf is a tree of claims of keys.
func claimsOf(keys int) string {
	claims := map[string]any{}
	for i := range keys {
		claims["f:"+keyNumbered(i)] = map[string]any{}
	}
	return string(mustMarshal(claims))
}

// newNodeWith is a new Node with a label, an annotation, and further ones that claimsOf claims.
func newNodeWith(keys int) []byte {
	labels, annotations := map[string]string{"role": "a"}, map[string]string{"note": "a"}
	for i := range keys {
		labels[keyNumbered(i)], annotations[keyNumbered(i)] = "a", "a"
	}
	return mustMarshal(map[string]any{"metadata": map[string]any{"name": "n1", "labels": labels, "annotations": annotations}})
}
