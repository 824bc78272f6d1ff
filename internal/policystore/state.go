// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package policystore

import (
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
)

// policyState is one NodeRestrictionPolicy as this process holds it.
type policyState struct {
	uid        types.UID
	generation int64
	// inForce is the compiled policy that evaluates writes. If the generation does not compile it is the last one that did, or
	// else the sections that compile.
	inForce *policy.Policy
	// spec is what inForce was compiled from.
	spec *v1alpha1.NodeRestrictionPolicySpec
	// errs are the errors of the generation.
	errs field.ErrorList
	// warnings are what is valid in the generation, but probably not meant.
	warnings []string
	// good is the last generation that compiled, nil if there was none since the program was started.
	good           *policy.Policy
	goodGeneration int64
	goodSpec       *v1alpha1.NodeRestrictionPolicySpec

	// since is when this process put the generation into force; zero until it has.
	since time.Time
	// replaces says that something else was in force before, in this process: another generation, or no policy of this name.
	replaces bool
}

// hold compiles an object, unless before already is of the same generation.
func hold(compiler *policy.Compiler, before *policyState, object *v1alpha1.NodeRestrictionPolicy) *policyState {
	if before != nil && before.uid == object.UID && before.generation == object.Generation {
		return before
	}
	h := &policyState{uid: object.UID, generation: object.Generation}
	h.inForce, h.errs = compiler.Compile(object)
	h.spec = object.Spec.DeepCopy()
	h.warnings = compiler.Warnings(object)
	switch {
	case len(h.errs) == 0:
		h.good, h.goodGeneration, h.goodSpec = h.inForce, h.generation, h.spec
	case before != nil && before.uid == object.UID && before.good != nil:
		// A previous object of this name does not stay in force.
		h.good, h.goodGeneration, h.goodSpec = before.good, before.goodGeneration, before.goodSpec
		h.inForce, h.spec = h.good, h.goodSpec
	}
	return h
}

// policyStates are all policies that this process holds, by name.
type policyStates map[string]*policyState

// hold replaces policies by the objects. It returns the sorted names of policies that are held and not among the objects.
func (h policyStates) hold(compiler *policy.Compiler, objects []v1alpha1.NodeRestrictionPolicy) []string {
	listed := map[string]bool{}
	for i := range objects {
		object := &objects[i]
		listed[object.Name] = true
		h[object.Name] = hold(compiler, h[object.Name], object)
	}
	var missing []string
	for name := range h {
		if !listed[name] {
			missing = append(missing, name)
		}
	}
	slices.Sort(missing)
	return missing
}

// enter notes that all policies are in force now. The first time, they replace nothing: the process has not evaluated before.
func (h policyStates) enter(now time.Time, first bool) {
	for _, held := range h {
		if held.since.IsZero() {
			held.since, held.replaces = now, !first
		}
	}
}

func (h policyStates) set() *policy.Set {
	policies := make([]*policy.Policy, 0, len(h))
	for _, held := range h {
		policies = append(policies, held.inForce)
	}
	return policy.NewSet(policies...)
}

// list returns the policies in force, sorted by name.
func (h policyStates) list() []InForce {
	all := make([]InForce, 0, len(h))
	for _, name := range slices.Sorted(maps.Keys(h)) {
		held := h[name]
		all = append(all, InForce{UID: held.uid, Generation: held.generation, Policy: held.inForce, Spec: held.spec})
	}
	return all
}

// count returns how many policies are in force as written, and how many are not.
func (h policyStates) count() (ready, notReady int) {
	for _, held := range h {
		if len(held.errs) == 0 {
			ready++
		} else {
			notReady++
		}
	}
	return ready, notReady
}
