// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package outage_test

import (
	"os"
	"testing"
	"time"
)

// all reports whether to run every scenario, and not only those that run on every change.
func all() bool { return os.Getenv("OUTAGE") == "all" }

// TestOutages runs the scenarios one after the other in one cluster.
func TestOutages(t *testing.T) {
	t.Parallel()
	s := newSetup(t, options{})
	for _, sc := range scenarios() {
		if !sc.core && !all() {
			continue
		}
		began := time.Now()
		ok := t.Run(sc.name, func(t *testing.T) {
			sc.run(s, t)
			t.Logf("recovered after another %s", s.awaitRecovered(t).Round(100*time.Millisecond))
			s.checkRecords(t)
		})
		if !ok {
			return // a failed scenario would make later ones fail
		}
		t.Logf("%s: %s", sc.name, time.Since(began).Round(time.Second))
	}
}

// TestLateEndpoints restarts all replicas under load while terminating ones remain endpoints for another 8 s. Their certificates are
// self-managed.
func TestLateEndpoints(t *testing.T) {
	t.Parallel()
	s := newSetup(t, options{controllers: []string{"--endpointslice-updates-batch-period=8s"}, selfManaged: true})
	s.restartUnder(t, 100)
	s.awaitRecovered(t)
	s.checkRecords(t)
}
