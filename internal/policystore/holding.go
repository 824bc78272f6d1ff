// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package policystore

import (
	"slices"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
)

// holding is one NodeRestrictionPolicy as this process holds it.
type holding struct {
	uid        types.UID
	generation int64
	// inForce is what writes are judged by. If the generation does not compile it is the last one that did, or else what
	// compiles of it.
	inForce *policy.Policy
	// errs are the errors of the generation.
	errs field.ErrorList
	// warnings are what is valid in the generation but probably not meant.
	warnings []string
	// good is the last generation that compiled, nil if there was none since the program was started.
	good           *policy.Policy
	goodGeneration int64
}

// hold compiles an object, unless before is made of the same generation already.
func hold(compiler *policy.Compiler, before *holding, object *v1alpha1.NodeRestrictionPolicy) *holding {
	if before != nil && before.uid == object.UID && before.generation == object.Generation {
		return before
	}
	h := &holding{uid: object.UID, generation: object.Generation}
	h.inForce, h.errs = compiler.Compile(object)
	h.warnings = compiler.Warnings(object)
	switch {
	case len(h.errs) == 0:
		h.good, h.goodGeneration = h.inForce, h.generation
	case before != nil && before.uid == object.UID && before.good != nil:
		// Of another object of this name nothing stays in force.
		h.good, h.goodGeneration = before.good, before.goodGeneration
		h.inForce = h.good
	}
	return h
}

// holdings are all policies that this process holds, by name.
type holdings map[string]*holding

// hold takes over the objects. It returns the names of those that are held and not among the objects, sorted.
func (h holdings) hold(compiler *policy.Compiler, objects []v1alpha1.NodeRestrictionPolicy) []string {
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

func (h holdings) set() *policy.Set {
	policies := make([]*policy.Policy, 0, len(h))
	for _, held := range h {
		policies = append(policies, held.inForce)
	}
	return policy.NewSet(policies...)
}

// count is how many policies are in force as written, and how many are not.
func (h holdings) count() (ready, notReady int) {
	for _, held := range h {
		if len(held.errs) == 0 {
			ready++
		} else {
			notReady++
		}
	}
	return ready, notReady
}
