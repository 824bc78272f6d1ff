// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package certmanager_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"noderestriction.plus/e2e/suite"
)

// install installs the chart, with further values, and waits until every replica is available.
func (s *setup) install(t *testing.T, values ...string) {
	t.Helper()
	began := time.Now()
	suite.Check(t, s.Install(t.Context(), tag, slices.Concat(s.values, values)...))
	suite.Check(t, s.AwaitRollout(t.Context()))
	t.Logf("installed after %s", time.Since(began).Round(100*time.Millisecond))
}

// awaitDenied waits until every replica denies: they are called in turn.
func (s *setup) awaitDenied(t *testing.T) {
	t.Helper()
	denied := 0
	suite.Eventually(t, patience, func() error {
		a := s.kubelet.Do(t.Context(), suite.AddFinalizer(node))
		if denied++; a.Outcome != suite.Denied {
			denied = 0
		}
		if denied < 9 {
			return fmt.Errorf("%d denials in a row, then %s", denied, a)
		}
		return nil
	})
}
