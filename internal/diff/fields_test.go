// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/api/v1alpha1"
)

// change sets a field of a policy to the first or the second of two values.
type change struct {
	path string // of the field, without indices
	set  func(s *spec, second bool)
}

// changes returns how each field of the API can be changed, by reflection: sections, lists, elements of lists, maps and values.
func changes(t *testing.T) []change {
	t.Helper()
	var all []change
	var walk func(typ reflect.Type, path string, get func(reflect.Value) reflect.Value)
	walk = func(typ reflect.Type, path string, get func(reflect.Value) reflect.Value) {
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			at := path + "." + name
			field := func(root reflect.Value) reflect.Value { return get(root).Field(i) }
			switch typ := typ.Field(i).Type; {
			case typ.Kind() == reflect.Struct:
				walk(typ, at, field)
			case typ.Kind() == reflect.Pointer && typ.Elem() != reflect.TypeFor[int64]() && typ.Elem() != reflect.TypeFor[metav1.LabelSelector]():
				all = append(all, change{at, func(s *spec, second bool) {
					if second {
						made(field(reflect.ValueOf(s).Elem()))
					}
				}})
				walk(typ.Elem(), at, func(root reflect.Value) reflect.Value { return made(field(root)).Elem() })
			case typ.Kind() == reflect.Slice && typ.Elem().Kind() == reflect.Struct:
				element := func(root reflect.Value) reflect.Value {
					if v := field(root); v.Len() == 0 {
						v.Set(reflect.MakeSlice(typ, 1, 1))
						v.Index(0).Field(0).SetString("example.com/a") // the key or the name
					}
					return field(root).Index(0)
				}
				all = append(all, change{at, func(s *spec, second bool) {
					if second {
						element(reflect.ValueOf(s).Elem())
					}
				}})
				walk(typ.Elem(), at, element)
			default:
				all = append(all, change{at, func(s *spec, second bool) { fill(t, at, field(reflect.ValueOf(s).Elem()), second) }})
			}
		}
	}
	walk(reflect.TypeFor[spec](), "spec", func(root reflect.Value) reflect.Value { return root })
	return all
}

// made returns a pointer, which points to something afterwards.
func made(v reflect.Value) reflect.Value {
	if v.IsNil() {
		v.Set(reflect.New(v.Type().Elem()))
	}
	return v
}

// fill sets a field to the first or the second of two valid values.
func fill(t *testing.T, path string, v reflect.Value, second bool) {
	t.Helper()
	i := 0
	if second {
		i = 1
	}
	max64 := []int64{600, 700}[i]
	var value any
	switch v.Interface().(type) {
	case []v1alpha1.ValidationAction:
		value = [][]v1alpha1.ValidationAction{{v1alpha1.Audit}, {v1alpha1.Deny}}[i]
	case []v1alpha1.Pattern:
		value = [][]v1alpha1.Pattern{{"a"}, {"b"}}[i]
	case []v1alpha1.KeyValuePattern:
		value = [][]v1alpha1.KeyValuePattern{{"a"}, {"b"}}[i]
	case []v1alpha1.CIDR:
		value = [][]v1alpha1.CIDR{{"10.0.0.0/8"}, {"11.0.0.0/8"}}[i]
	case []v1alpha1.UsernamePrefix:
		value = [][]v1alpha1.UsernamePrefix{{"a:"}, {"b:"}}[i]
	case string:
		value = []string{"example.com/a", "example.com/b"}[i]
	case []v1alpha1.BaselineResource:
		value = [][]v1alpha1.BaselineResource{{"nodes"}, {"pods"}}[i]
	case []v1alpha1.NodeAddressType:
		value = [][]v1alpha1.NodeAddressType{{"InternalIP"}, {"ExternalIP"}}[i]
	case []string:
		value = [][]string{{"/a"}, {"/b"}}[i]
	case []int32:
		value = [][]int32{{10250}, {10251}}[i]
	case *metav1.LabelSelector:
		value = &metav1.LabelSelector{MatchLabels: map[string]string{"a": []string{"b", "c"}[i]}}
	case map[corev1.ResourceName]v1alpha1.Quantity:
		value = map[corev1.ResourceName]v1alpha1.Quantity{"cpu": []v1alpha1.Quantity{"1", "2"}[i]}
	case map[v1alpha1.NodeInfoField]v1alpha1.PatternList:
		value = map[v1alpha1.NodeInfoField]v1alpha1.PatternList{"osImage": []v1alpha1.PatternList{{"a"}, {"b"}}[i]}
	case *int64:
		value = &max64
	case v1alpha1.Access:
		value = []v1alpha1.Access{v1alpha1.AccessAllow, v1alpha1.AccessDeny}[i]
	case v1alpha1.LabelAdditions:
		value = []v1alpha1.LabelAdditions{v1alpha1.AdditionsAny, v1alpha1.AdditionsListed}[i]
	case v1alpha1.UnschedulableChanges:
		value = []v1alpha1.UnschedulableChanges{v1alpha1.UnschedulableAny, v1alpha1.UnschedulableNone}[i]
	case v1alpha1.PodDeletionMode:
		value = []v1alpha1.PodDeletionMode{v1alpha1.PodDeletionTerminating, v1alpha1.PodDeletionFinished}[i]
	case v1alpha1.AddressSource:
		value = []v1alpha1.AddressSource{v1alpha1.FromNodePodCIDRs, v1alpha1.FromNodeAddresses}[i]
	case corev1.TaintEffect:
		value = []corev1.TaintEffect{corev1.TaintEffectNoSchedule, corev1.TaintEffectNoExecute}[i]
	case v1alpha1.Pattern:
		value = []v1alpha1.Pattern{"example.com/a", "example.com/b"}[i]
	case int32:
		value = []int32{2000, 3000}[i]
	case int64:
		value = max64
	default:
		t.Fatalf("%s: the test knows no value of a %s", path, v.Type())
	}
	v.Set(reflect.ValueOf(value))
}

// A field of the API that is not compared fails here.
func TestEachFieldOfTheAPIIsCompared(t *testing.T) {
	all := changes(t)
	if len(all) < 100 {
		t.Fatalf("only %d fields", len(all))
	}
	asOmitted := []string{ // as good as empty if they are omitted
		"spec.match", "spec.nodes.labels.registration", "spec.nodes.labels.update", "spec.pods.metadata.annotations", "spec.pods.ips.podIPs",
		"spec.pods.ips.hostIPs",
	}
	for _, c := range all {
		t.Run(c.path, func(t *testing.T) {
			var old, updated spec
			c.set(&old, false)
			c.set(&updated, true)
			parent := func(s *spec, second bool) { // the sections around the field are in both policies
				for _, other := range all {
					if strings.HasPrefix(c.path, other.path+".") {
						other.set(s, second)
					}
				}
			}
			parent(&old, true)
			parent(&updated, true)
			c.set(&updated, true)
			got := Compare(&old, &updated)
			if slices.Contains(asOmitted, c.path) {
				if len(got) > 0 {
					t.Errorf("got %v", got)
				}
				return
			}
			if len(got) != 1 || len(got[0].Old) == 0 || len(got[0].New) == 0 {
				t.Fatalf("want one change, got %v", got)
			}
			field, _, _ := strings.Cut(got[0].Field, "[")
			if field != c.path && !strings.HasPrefix(c.path, field+".") {
				t.Errorf("the change is of %s", got[0].Field)
			}
			if got[0].Effect == Same {
				t.Errorf("the change has no effect: %v", got)
			}
			back := Compare(&updated, &old)
			if len(back) != 1 || back[0].Effect != got[0].Effect.inverse() {
				t.Errorf("the reverse change is %v, this one %v", back, got)
			}
			if same := Compare(&updated, updated.DeepCopy()); len(same) > 0 {
				t.Errorf("a policy differs from itself: %v", same)
			}
		})
	}
}
