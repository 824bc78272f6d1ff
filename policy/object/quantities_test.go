// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package object

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy/pattern"
)

// quantityPaths returns objects of a type, each with one quantity, by its path. They include new fields of k8s.io/api.
func quantityPaths(t reflect.Type, text string, seen map[reflect.Type]bool) map[string]string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	found := map[string]string{}
	switch {
	case t == reflect.TypeFor[resource.Quantity]():
		found[""] = fmt.Sprintf("%q", text)
	case seen[t]:
	case t.Kind() == reflect.Map:
		for path, inner := range quantityPaths(t.Elem(), text, seen) {
			found["[k]"+path] = `{"k":` + inner + `}`
		}
	case t.Kind() == reflect.Slice:
		for path, inner := range quantityPaths(t.Elem(), text, seen) {
			found["[]"+path] = "[" + inner + "]"
		}
	case t.Kind() == reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			for path, inner := range quantityPaths(f.Type, text, seen) {
				if name == "" {
					found[path] = inner
				} else {
					found["."+name+path] = fmt.Sprintf(`{%q:%s}`, name, inner)
				}
			}
		}
	}
	return found
}

func TestAnExpensiveQuantityIsUnverifiableWhereverItStands(t *testing.T) {
	const expensive = "1e60000"
	for _, kind := range []struct {
		resource, subresource string
		of                    reflect.Type
	}{
		{"nodes", "status", reflect.TypeFor[corev1.Node]()},
		{"pods", "status", reflect.TypeFor[corev1.Pod]()},
		{"pods", "resize", reflect.TypeFor[corev1.Pod]()},
		{"persistentvolumeclaims", "status", reflect.TypeFor[corev1.PersistentVolumeClaim]()},
		{"resourceslices.resource.k8s.io", "", reflect.TypeFor[resourcev1.ResourceSlice]()},
	} {
		paths := quantityPaths(kind.of, expensive, map[reflect.Type]bool{})
		if len(paths) == 0 {
			t.Errorf("%s: no quantities", kind.resource)
		}
		for path, object := range paths {
			for _, operation := range []admissionv1.Operation{admissionv1.Create, admissionv1.Update} {
				w := Write{
					Operation: operation, Resource: kind.resource, Subresource: kind.subresource, Version: "v1",
					Object: []byte(object), OldObject: []byte(`{"metadata":{}}`),
				}
				var v View
				if err := v.Open(&w); err != nil {
					t.Fatal(err)
				}
				if detail := v.UnverifiableQuantity(); !strings.Contains(detail, text.Quote(expensive)) {
					t.Errorf("%s %s/%s%s: got %q", operation, kind.resource, kind.subresource, path, detail)
				}
			}
		}
	}
}

// hasQuantity reports whether a type has a quantity in it.
func hasQuantity(t reflect.Type) bool {
	return len(quantityPaths(t, "1", map[reflect.Type]bool{})) > 0
}

func TestPartsAreDecodedWithoutParsingQuantities(t *testing.T) {
	for _, a := range accessors(t) {
		if a.of != nil && a.of != reflect.TypeFor[ClaimStatuses]() && hasQuantity(a.of) {
			t.Errorf("%s.%s is decoded into a type with quantities", a.object, a.name)
		}
	}
}

const (
	// maxQuantityFuzzed is the size of the largest input that must be done in time, in bytes.
	maxQuantityFuzzed = 64 << 10
	// generousQuantity is for how long one may take: on any machine all of them are done in milliseconds.
	generousQuantity = 2 * time.Second
)

// FuzzQuantity looks for texts that take long, or on which the forms contradict one another.
func FuzzQuantity(f *testing.F) {
	for _, text := range []string{
		"8", "64Gi", "1e3", "1e60000", "1234567890123456789e60000", "1e9999999", "1e-999999999", "1E+1000", " 1e99999",
		strings.Repeat("9", 5000), ".", "1.5E", "1e0000000003",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		text = text[:min(len(text), maxQuantityFuzzed)]
		inQuantityTime(t, func() {
			if pattern.IsPlainQuantity(text) && !pattern.IsCheapQuantity(text) {
				t.Error("plain and not cheap")
			}
			quantity, err := pattern.ParseQuantity(pattern.QuantityText(text))
			if err == nil && text != "" {
				quantity.Cmp(quantity)
				_ = quantity.String()
				if pattern.IsExpensiveNumber(text) {
					t.Error("parsed and expensive")
				}
			}
			object, err := json.Marshal(map[string]any{"status": map[string]any{"allocatedResources": map[string]any{"cpu": text}}})
			if err != nil {
				return // not UTF-8
			}
			w := Write{
				Operation: admissionv1.Update, Resource: "pods", Subresource: "status",
				OldObject: []byte(`{"metadata":{}}`), Object: object,
			}
			var v View
			if err := v.Open(&w); err != nil {
				t.Fatal(err)
			}
			if !pattern.IsCheapQuantity(text) && pattern.IsExpensiveNumber(text) && v.UnverifiableQuantity() == "" {
				t.Error("let through")
			}
		})
	})
}

// inQuantityTime fails if something takes too long.
func inQuantityTime(t *testing.T, do func()) {
	t.Helper()
	began := time.Now()
	do()
	if took := time.Since(began); took > generousQuantity {
		t.Errorf("it took %s", took)
	}
}
