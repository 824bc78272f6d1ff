// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	celconfig "k8s.io/apiserver/pkg/apis/cel"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/compile"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
	allrules "noderestriction.plus/policy/rules"
)

// nilable is a field that an API server shows to CEL as null if it has no value, because its JSON tag does not omit it.
type nilable struct {
	path  []string // with "[]" for an element of a list, and "{}" for a value of a map
	value reflect.Type
}

// nilables returns the fields of a type that can be null.
func nilables(of reflect.Type) []nilable {
	var all []nilable
	within := map[reflect.Type]bool{}
	var walk func(of reflect.Type, path []string)
	walk = func(of reflect.Type, path []string) {
		below := func(name string) []string { return append(path[:len(path):len(path)], name) }
		switch of.Kind() {
		case reflect.Pointer:
			walk(of.Elem(), path)
		case reflect.Slice:
			walk(of.Elem(), below("[]"))
		case reflect.Map:
			walk(of.Elem(), below("{}"))
		case reflect.Struct:
			if within[of] || reflect.PointerTo(of).Implements(reflect.TypeFor[json.Marshaler]()) {
				return
			}
			within[of] = true
			defer delete(within, of)
			for i := range of.NumField() {
				f := of.Field(i)
				name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
				if name == "" {
					walk(f.Type, path)
					continue
				}
				if showsNull(f.Type, options) {
					all = append(all, nilable{below(name), f.Type})
				}
				walk(f.Type, below(name))
			}
		}
	}
	walk(of, nil)
	return all
}

// showsNull reports whether a field without a value is shown as null. Only the newest API servers omit a time that is not in a pointer.
func showsNull(of reflect.Type, options string) bool {
	switch of.Kind() {
	case reflect.Slice, reflect.Map, reflect.Pointer:
		return !strings.Contains(options, "omitempty")
	}
	return of == reflect.TypeFor[metav1.Time]() || of == reflect.TypeFor[metav1.MicroTime]()
}

// filled returns a value of a type as JSON shows it, with one element in each list and map.
func filled(of reflect.Type) any {
	switch of {
	case reflect.TypeFor[metav1.Time]():
		return "2026-01-02T03:04:05Z"
	case reflect.TypeFor[metav1.MicroTime]():
		return "2026-01-02T03:04:05.000000Z"
	case reflect.TypeFor[resource.Quantity]():
		return "1"
	}
	switch of.Kind() {
	case reflect.Pointer:
		return filled(of.Elem())
	case reflect.Slice:
		return []any{filled(of.Elem())}
	case reflect.Map:
		return map[string]any{"example.com/a": filled(of.Elem())}
	case reflect.String:
		return "a"
	case reflect.Struct:
		return map[string]any{}
	case reflect.Bool:
		return true
	}
	return 1
}

// with returns an object that has only the field, with a value.
func (n nilable) with(value any) map[string]any {
	for _, name := range slices.Backward(n.path) {
		switch name {
		case "[]":
			value = []any{value}
		case "{}":
			value = map[string]any{"example.com/a": value}
		default:
			value = map[string]any{name: value}
		}
	}
	return value.(map[string]any)
}

// remove removes the field from an object wherever it has it.
func (n nilable) remove(from any) {
	at := []any{from}
	for i, name := range n.path {
		var below []any
		for _, value := range at {
			switch v := value.(type) {
			case []any:
				below = append(below, v...)
			case map[string]any:
				switch {
				case name == "{}":
					below = slices.AppendSeq(below, maps.Values(v))
				case i == len(n.path)-1:
					delete(v, name)
				default:
					below = append(below, v[name])
				}
			}
		}
		at = below
	}
}

// state is what an object has in the place of the field.
type state int

const (
	null     state = iota // what the field is in, with null
	missing               // what the field is in, without it
	filledIn              // the field with a value
	nothing               // not even what the field is in
)

// put returns an object with what a state adds to it, as an API server shows it.
func (n nilable) put(t *testing.T, r policy.Request, raw []byte, s state) []byte {
	t.Helper()
	if len(raw) == 0 || s == nothing {
		return raw
	}
	var object, stored any
	if err := json.Unmarshal(raw, &object); err != nil {
		t.Fatal(err)
	}
	var value any
	if s == filledIn {
		value = filled(n.value)
	}
	r.Object, r.OldObject = mustMarshal(mix(object, n.with(value))), nil
	r, ok := asStored(r)
	if !ok {
		t.Fatalf("an API server does not read %v", n.path)
	}
	if s != missing {
		return r.Object
	}
	if err := json.Unmarshal(r.Object, &stored); err != nil {
		t.Fatal(err)
	}
	n.remove(stored)
	return mustMarshal(stored)
}

// withNull returns a write with the field as null, missing or with a value in either object, for each field that can be null and is in one
// of the fields of an object that an expression names.
func withNull(t *testing.T, r policy.Request, named func(field string) bool) []policy.Request {
	t.Helper()
	_, empty := kindOf(r)
	var writes []policy.Request
	for _, n := range nilables(reflect.TypeOf(empty())) {
		if len(n.path) < 2 || !named(n.path[1]) || slices.Equal(n.path, []string{"spec", "containers"}) {
			continue // an API server refuses a pod without containers before it asks policies
		}
		for _, pair := range [][2]state{
			{null, null},
			{null, filledIn},
			{filledIn, null},
			{missing, null},
			{null, missing},
			{nothing, null},
			{null, nothing},
			{filledIn, missing},
		} {
			w := r
			w.OldObject, w.Object = n.put(t, r, r.OldObject, pair[0]), n.put(t, r, r.Object, pair[1])
			writes = append(writes, w)
		}
	}
	return writes
}

// bare returns a write of objects that have nothing except names and, for pods, the container without which an API server refuses them.
func bare(t *testing.T, w compile.Write) policy.Request {
	object := []byte(`{"metadata":{"name":"worker-1"},"spec":{"containers":[{"name":"c"}]}}`)
	t.Helper()
	r := policy.Request{NodeName: "worker-1", Write: policy.Write{
		Resource: w.Resource, Subresource: w.Subresource, Operation: admissionv1.Operation(w.Operation), Name: "worker-1",
		Object: object, OldObject: object,
	}}
	if r.Subresource == policy.AnySubresource {
		r.Subresource = "resize"
	}
	switch w.Operation {
	case expression.Create:
		r.OldObject = nil
	case expression.Delete:
		r.Object = nil
	}
	stored, ok := asStored(r)
	if !ok {
		t.Fatalf("an API server does not read a %v", w)
	}
	return stored
}

// failure returns the error of the first expression that fails, or nothing.
func (e *enforced) failure(t *testing.T, attributes *admission.VersionedAttributes) string {
	t.Helper()
	result := e.validator.Validate(t.Context(), attributes.GetResource(), attributes, nil, nil, celconfig.RuntimeCELCostBudget, nil)
	for _, d := range result.Decisions {
		if d.Evaluation == validating.EvalError {
			return d.Message
		}
	}
	for _, a := range result.AuditAnnotations {
		if a.Error != "" {
			return a.Key + ": " + a.Error
		}
	}
	return ""
}

// TestNullIsNoError has each expression of each rule evaluate objects in which a field is null. An expression that fails denies a write
// without a reason, or lets a violation pass.
func TestNullIsNoError(t *testing.T) {
	for _, rule := range expressibleRules() {
		t.Run(string(rule.ID), func(t *testing.T) {
			t.Parallel()
			c := newCorpus(t, rule)
			bases := slices.Clone(c.fixtures[:min(len(c.fixtures), 3)])
			for _, w := range compile.WritesOf([]policy.Rule{rule}) {
				bases = append(bases, bare(t, w))
			}
			for _, p := range c.policies {
				evaluateNull(t, rule.ID, p, bases)
			}
		})
	}
}

// evaluateNull has what is compiled of a policy, and the conditions of a rule under it, evaluate writes with null.
func evaluateNull(t *testing.T, id policy.RuleID, p *v1alpha1.NodeRestrictionPolicy, bases []policy.Request) {
	t.Helper()
	eachNull := func(text string, is func(policy.Request) bool, do func(r policy.Request, attributes *admission.VersionedAttributes)) {
		for _, base := range bases {
			if !is(base) {
				continue
			}
			for _, r := range withNull(t, base, func(field string) bool { return strings.Contains(text, field) }) {
				for _, unstructured := range []bool{false, true} {
					do(r, (&caller{t: t, unstructured: unstructured}).attributesOf(r))
				}
			}
		}
	}
	for _, kind := range compileFor(t, []*v1alpha1.NodeRestrictionPolicy{p}) {
		spec := &kind.Policy.Spec
		is := func(r policy.Request) bool { return isFor(kind, (&caller{t: t}).attributesOf(r)) }
		var e *enforced
		eachNull(string(mustMarshal(spec.Variables))+string(mustMarshal(spec.Validations)), is,
			func(r policy.Request, attributes *admission.VersionedAttributes) {
				var errs []error
				if e == nil {
					if e, errs = newEnforced(kind); len(errs) > 0 {
						t.Fatal(errs)
					}
				}
				if failure := e.failure(t, attributes); failure != "" {
					t.Fatalf("%s: %s\n%s\n%s", kind.Policy.Name, failure, r.OldObject, r.Object)
				}
			})
	}
	for _, v := range compile.Violations(p, rulesOf(t, p)) {
		if v.Rule != id {
			continue
		}
		for _, text := range []string{v.Certain, v.Possible, v.Missed, expression.Differ(v.Compared...)} {
			is := func(r policy.Request) bool { return isOf(r, v.Write) }
			eachNull(text, is, func(_ policy.Request, attributes *admission.VersionedAttributes) {
				newCondition(t, text).evaluate(t, attributes)
			})
		}
	}
}

// TestNullIsNoErrorInTheChart does the same with the match conditions and policies that the chart installs.
func TestNullIsNoErrorInTheChart(t *testing.T) {
	c := newCaller(t, append(everything(), "--set", "webhook.url=https://127.0.0.1:9443")...)
	kinds := installed(t)
	evaluators := map[string]*enforced{}
	for _, kind := range kinds {
		e, errs := newEnforced(kind)
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		evaluators[kind.Policy.Name] = e
	}
	for _, w := range compile.WritesOf(allrules.All()) {
		for _, r := range withNull(t, bare(t, w), func(string) bool { return true }) {
			for _, unstructured := range []bool{false, true} {
				one := &caller{t: t, unstructured: unstructured, webhooks: c.webhooks}
				attributes := one.attributesOf(r)
				if _, failed := c.match(attributes); len(failed) > 0 {
					t.Fatalf("%s: the conditions of %q end in an error\n%s\n%s", w, failed, r.OldObject, r.Object)
				}
				for _, kind := range kinds {
					if !isFor(kind, attributes) {
						continue
					}
					if failure := evaluators[kind.Policy.Name].failure(t, attributes); failure != "" {
						t.Fatalf("%s: %s: %s\n%s\n%s", w, kind.Policy.Name, failure, r.OldObject, r.Object)
					}
				}
			}
		}
	}
}

// TestNilables names fields that an API server is known to show as null: the walk over the types must find them.
func TestNilables(t *testing.T) {
	for kind, want := range map[reflect.Type][]string{
		reflect.TypeFor[corev1.Node]():                   {"status.images.[].names", "status.conditions.[].lastHeartbeatTime"},
		reflect.TypeFor[corev1.Pod]():                    {"spec.volumes.[].projected.sources", "spec.containers"},
		reflect.TypeFor[storagev1.CSINode]():             {"spec.drivers", "spec.drivers.[].topologyKeys"},
		reflect.TypeFor[authenticationv1.TokenRequest](): {"spec.audiences", "spec.boundObjectRef"},
	} {
		var found []string
		for _, n := range nilables(kind) {
			found = append(found, strings.Join(n.path, "."))
		}
		for _, path := range want {
			if !slices.Contains(found, path) {
				t.Errorf("%s of %s is not among %v", path, kind, found)
			}
		}
	}
}
