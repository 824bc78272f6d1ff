// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package policystore holds the policies that are in force: a [Store] that handlers read without a lock, and the
// controller that fills it from the NodeRestrictionPolicies of the cluster and tells in their status what came of
// them.
//
// What is in force is what this process last learned from the API server, for as long as it runs. If the API server
// is away, if the right to read policies is taken from it, or if the definition of the resource is deleted or no
// longer served, the policies stay as they were.
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

// Set is the set in force: nil until all policies that existed when the program was started have been compiled. A
// caller that finds nil does not know what is allowed.
func (s *Store) Set() *policy.Set { return s.set.Load() }

// Check is a readiness check: it fails until the first sync.
func (s *Store) Check(*http.Request) error {
	if s.Set() == nil {
		return errors.New("the policies have not been read yet")
	}
	return nil
}
