// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package policystore

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

// object is a policy that denies finalizers on Nodes, and labels unless its pattern for them is broken.
func object(name string, uid types.UID, generation int64, valid bool) v1alpha1.NodeRestrictionPolicy {
	pattern := v1alpha1.KeyValuePattern("example.com/*")
	if !valid {
		pattern = "not a pattern"
	}
	return v1alpha1.NodeRestrictionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: uid, Generation: generation},
		Spec: v1alpha1.NodeRestrictionPolicySpec{ValidationActions: []v1alpha1.ValidationAction{v1alpha1.Deny}, Nodes: v1alpha1.NodeRules{
			Finalizers: &v1alpha1.NodeFinalizers{},
			Labels:     &v1alpha1.NodeLabels{Update: &v1alpha1.NodeUpdateLabels{Allowed: []v1alpha1.KeyValuePattern{pattern}}},
		}},
	}
}

// inForce lists the generations in force, each with its rules, by policy.
func inForce(h policyStates) string {
	var all []string
	for _, p := range h.set().Policies() {
		request := &policy.Request{
			NodeName: "worker-1", Write: policy.Write{Operation: admissionv1.Update, Resource: "nodes"}, Undecodable: "for its generation",
		}
		generation := policy.NewSet(p).Evaluate(request).Violations[0].Generation
		rules := p.Rules()
		names := make([]string, len(rules))
		for i, id := range rules {
			names[i] = string(id)
		}
		all = append(all, p.Name()+"@"+strconv.FormatInt(generation, 10)+":"+strings.Join(names, "+"))
	}
	return strings.Join(all, " ")
}

func TestHoldings(t *testing.T) {
	type objects = []v1alpha1.NodeRestrictionPolicy
	for _, test := range []struct {
		name  string
		steps []objects
		want  string
		ready int
	}{
		{
			name:  "no policy at all is a set without policies",
			steps: []objects{{}},
		},
		{
			name:  "a policy that compiles is in force as written",
			steps: []objects{{object("a", "1", 1, true)}},
			want:  "a@1:node-labels+node-finalizers", ready: 1,
		},
		{
			name:  "of a policy that never compiled the sections that compile are in force",
			steps: []objects{{object("a", "1", 1, false)}},
			want:  "a@1:node-finalizers",
		},
		{
			name:  "the last good generation stays in force",
			steps: []objects{{object("a", "1", 1, true)}, {object("a", "1", 2, false)}},
			want:  "a@1:node-labels+node-finalizers",
		},
		{
			name: "the last good generation stays in force through several broken ones",
			steps: []objects{
				{object("a", "1", 1, true)},
				{object("a", "1", 2, true)},
				{object("a", "1", 3, false)},
				{object("a", "1", 4, false)},
			},
			want: "a@2:node-labels+node-finalizers",
		},
		{
			name:  "a repaired policy is in force as written again",
			steps: []objects{{object("a", "1", 1, false)}, {object("a", "1", 2, true)}},
			want:  "a@2:node-labels+node-finalizers", ready: 1,
		},
		{
			name:  "nothing stays in force of another object of the same name",
			steps: []objects{{object("a", "1", 1, true)}, {object("a", "2", 1, false)}},
			want:  "a@1:node-finalizers",
		},
		{
			name:  "a broken policy does not touch the others",
			steps: []objects{{object("b", "2", 5, true), object("a", "1", 1, false)}},
			want:  "a@1:node-finalizers b@5:node-labels+node-finalizers", ready: 1,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := policyStates{}
			for _, objects := range test.steps {
				h.hold(rules.NewCompiler(), objects)
			}
			if got := inForce(h); got != test.want {
				t.Errorf("in force: %q, want %q", got, test.want)
			}
			if ready, notReady := h.count(); ready != test.ready || ready+notReady != len(h) {
				t.Errorf("%d ready, %d not ready", ready, notReady)
			}
		})
	}
}

func TestMissingPoliciesStayInForceUntilTheyAreLetGo(t *testing.T) {
	h := policyStates{}
	h.hold(rules.NewCompiler(), []v1alpha1.NodeRestrictionPolicy{
		object("b", "2", 1, true), object("a", "1", 1, true), object("c", "3", 1, true),
	})
	missing := h.hold(rules.NewCompiler(), []v1alpha1.NodeRestrictionPolicy{object("c", "3", 1, true)})
	if !slices.Equal(missing, []string{"a", "b"}) {
		t.Errorf("missing: %q", missing)
	}
	if n := len(h.set().Policies()); n != 3 {
		t.Errorf("%d policies are in force", n)
	}
}

func TestAGenerationIsCompiledOnce(t *testing.T) {
	h := policyStates{}
	h.hold(rules.NewCompiler(), []v1alpha1.NodeRestrictionPolicy{object("a", "1", 1, true)})
	first := h["a"]
	h.hold(rules.NewCompiler(), []v1alpha1.NodeRestrictionPolicy{object("a", "1", 1, true)})
	if h["a"] != first {
		t.Error("compiled again")
	}
}

func TestStoreIsNotReadyBeforeTheFirstSync(t *testing.T) {
	var s Store
	if s.Set() != nil || s.Check(nil) == nil {
		t.Error("a new store claims to be synced")
	}
	s.set.Store(policyStates{}.set())
	if s.Set() == nil || s.Check(nil) != nil {
		t.Error("a store without policies is synced as well")
	}
}

func TestServedComparesExactVersions(t *testing.T) {
	h := policyStates{}
	h.hold(rules.NewCompiler(), []v1alpha1.NodeRestrictionPolicy{object("a", "1", 1, true)})
	for name, test := range map[string]struct {
		versions map[string]version
		want     bool
	}{
		"the same":           {map[string]version{"a": {"1", 1}}, true},
		"another generation": {map[string]version{"a": {"1", 2}}, false},
		"another object":     {map[string]version{"a": {"2", 1}}, false},
		"one more":           {map[string]version{"a": {"1", 1}, "b": {"2", 1}}, false},
		"none":               {map[string]version{}, false},
		"another name":       {map[string]version{"b": {"1", 1}}, false},
	} {
		if got := (served{versions: test.versions}).equal(h); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
