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

	"noderestriction.plus/policy"
)

// Store holds the policy.Set in force. Its zero value has not been synced. It is safe for concurrent use.
type Store struct {
	set atomic.Pointer[policy.Set]
}

// Set returns the set in force: nil until all policies that existed at startup have been compiled. With nil it is unknown what
// is allowed.
func (s *Store) Set() *policy.Set { return s.set.Load() }

// Check is a readiness check: it fails until the first sync.
func (s *Store) Check(*http.Request) error {
	if s.Set() == nil {
		return errors.New("the policies have not been read yet")
	}
	return nil
}
