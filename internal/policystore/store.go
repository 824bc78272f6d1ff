// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package policystore holds the policies that are in force: a [Store] that handlers read without a lock, and the
// controller that fills it from the NodeRestrictionPolicies of the cluster and reports in their status whether they are
// enforced.
//
// The policies in force are those that this process last read from the API server, for as long as it runs. They stay
// as they were if the API server is unavailable, if the permission to read policies is removed, or if the CRD is deleted
// or no longer served.
package policystore

import (
	"errors"
	"net/http"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/types"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
)

// Store holds the policies in force. Its zero value has not been synced. It is safe for concurrent use.
type Store struct {
	set     atomic.Pointer[policy.Set]
	inForce atomic.Pointer[[]InForce]
}

// InForce is a policy in force, and the spec from which it was compiled.
type InForce struct {
	UID types.UID
	// Generation is the latest generation that the store has read. The policy in force may be an earlier one, if this one does not
	// compile.
	Generation int64
	Policy     *policy.Policy
	// Spec must not be changed. It has sections that are not in force if they did not compile: [policy.Policy.Rules] are in force.
	Spec *v1alpha1.NodeRestrictionPolicySpec
}

// Set returns the set in force: nil until all policies that existed at startup have been compiled. With nil it is unknown what
// is allowed.
func (s *Store) Set() *policy.Set { return s.set.Load() }

// InForce returns the policies in force, sorted by name, and false until the first sync. The list must not be changed.
func (s *Store) InForce() ([]InForce, bool) {
	if list := s.inForce.Load(); list != nil {
		return *list, true
	}
	return nil, false
}

// Check is a readiness check: it fails until the first sync.
func (s *Store) Check(*http.Request) error {
	if s.Set() == nil {
		return errors.New("the policies have not been read yet")
	}
	return nil
}
