// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package profiles_test shows that a real API server accepts what the chart renders in each profile, and that each profile does what
// the documentation says.
package profiles_test

import (
	"testing"
	"time"

	"noderestriction.plus/e2e/suite"
)

// recovery bounds each wait, on a busy machine.
const recovery = 3 * time.Minute

// TestMain discards the log of controller-runtime's client.
func TestMain(m *testing.M) { suite.Main(m) }
