// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/compile"
	"noderestriction.plus/policy"
	allrules "noderestriction.plus/policy/rules"
)

// withLists returns the policy strict with n entries in each list of patterns and ranges.
func withLists(t *testing.T, n int, pattern func(i int) string) *v1alpha1.NodeRestrictionPolicy {
	t.Helper()
	p := presetNamed(t, "strict").DeepCopy()
	var fill func(v reflect.Value)
	fill = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Pointer:
			if !v.IsNil() {
				fill(v.Elem())
			}
		case reflect.Struct:
			for i := range v.NumField() {
				fill(v.Field(i))
			}
		case reflect.Slice:
			list := reflect.MakeSlice(v.Type(), 0, n)
			for i := range n {
				switch v.Interface().(type) {
				case []v1alpha1.Pattern, []v1alpha1.KeyValuePattern:
					list = reflect.Append(list, reflect.ValueOf(pattern(i)).Convert(v.Type().Elem()))
				case []v1alpha1.CIDR:
					list = reflect.Append(list, reflect.ValueOf(v1alpha1.CIDR(fmt.Sprintf("10.%d.0.0/16", i))))
				}
			}
			if list.Len() > 0 {
				v.Set(list)
			}
		}
	}
	fill(reflect.ValueOf(&p.Spec.Nodes))
	fill(reflect.ValueOf(&p.Spec.Pods))
	fill(reflect.ValueOf(&p.Spec.MirrorPods))
	// These match other names, are shorter, or contradict the others.
	p.Spec.Nodes.Names, p.Spec.Nodes.ProviderID, p.Spec.MirrorPods.PriorityClasses = nil, nil, nil
	p.Spec.Nodes.Addresses.DeniedCIDRs = nil
	if r := p.Spec.Nodes.Labels.Registration; r != nil {
		r.Required, r.Denied = nil, nil
	}
	if _, errs := allrules.NewCompiler().Compile(p); len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	return p
}

// TestLongListsAreRefusedOrAffordable compiles policies with ever longer lists: an API server must be able to evaluate what is compiled, for
// the largest writes within the bounds, and what is not compiled is an error.
func TestLongListsAreRefusedOrAffordable(t *testing.T) {
	for name, test := range map[string]struct {
		pattern  func(i int) string
		accepted []int // numbers of entries
		refused  []int
	}{
		"keys":          {func(i int) string { return fmt.Sprintf("key-%d.example.com/name", i) }, []int{64}, nil},
		"domains":       {func(i int) string { return fmt.Sprintf("key-%d.example.com/*", i) }, []int{64}, nil},
		"beginnings":    {func(i int) string { return strings.Repeat("k", i+1) + "*" }, []int{6}, []int{64}},
		"ends":          {func(i int) string { return fmt.Sprintf("*-%02d", i) }, []int{64}, nil},
		"values":        {func(i int) string { return fmt.Sprintf("key-%d.example.com/a=v*", i) }, []int{8}, []int{64}},
		"parts":         {func(i int) string { return fmt.Sprintf("*key-%d.*", i) }, []int{8}, []int{64}},
		"both ends":     {func(i int) string { return fmt.Sprintf("key-%d.*.example.com/name", i) }, []int{4}, []int{64}},
		"two asterisks": {func(i int) string { return fmt.Sprintf("key-%d.*.a*b.example.com/name", i) }, []int{1}, []int{8, 64}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, n := range test.accepted {
				runsWithinTheBudget(t, withLists(t, n, test.pattern))
			}
			for _, n := range test.refused {
				p := withLists(t, n, test.pattern)
				for _, partial := range []compile.Partial{compile.Refuse, compile.Narrower, compile.Wider} {
					_, err := compile.Compile(p, rulesOf(t, p), compile.Options{Partial: partial})
					if limit := (*compile.LimitError)(nil); !errors.As(err, &limit) || !strings.Contains(err.Error(), "spec.nodes.labels: rule node-labels") {
						t.Errorf("%d entries, %s: %v", n, partial, err)
					}
				}
			}
		})
	}
}

// runsWithinTheBudget fails if a policy is not compiled, or if an API server runs out of its budget for one of the largest writes.
func runsWithinTheBudget(t *testing.T, p *v1alpha1.NodeRestrictionPolicy) {
	t.Helper()
	compiled, err := compile.Compile(p, rulesOf(t, p), compile.Options{Partial: compile.Narrower})
	if err != nil {
		t.Error(err)
		return
	}
	node := policy.Request{NodeName: "worker-1", Write: policy.Write{
		Resource: "nodes", Name: "worker-1", OldObject: mustMarshal(fullNode(1, 1)), Object: mustMarshal(fullNode(2, 1)),
	}}
	pod := policy.Request{NodeName: "worker-1", Write: policy.Write{
		Resource: "pods", Name: "a-worker-1", Namespace: "kube-system", OldObject: mustMarshal(fullPod(1, 1)), Object: mustMarshal(fullPod(2, 1)),
	}}
	for _, kind := range compiled.Kinds {
		r := node
		if kind.Write.Resource == "pods" {
			r = pod
		}
		if kind.Write.Resource != r.Resource || kind.Write.Subresource != "" && kind.Write.Subresource != "status" {
			continue
		}
		r.Operation, r.Subresource = admissionv1.Operation(kind.Write.Operation), kind.Write.Subresource
		switch r.Operation {
		case admissionv1.Create:
			r.OldObject = nil
		case admissionv1.Delete:
			r.Object = nil
		}
		e, errs := newEnforced(kind)
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		if _, failure := e.violated(t, (&caller{t: t}).attributesOf(r)); failure != "" {
			t.Errorf("%s: %s", kind.Policy.Name, failure)
		}
	}
}
