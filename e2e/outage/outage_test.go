// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package outage_test

import (
	"os"
	"testing"
	"time"
)

// all says that every scenario is to run, and not only those of every change.
func all() bool { return os.Getenv("OUTAGE") == "all" }

// TestOutages goes through the scenarios, one after the other, in one cluster.
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
			t.Logf("everything is as before after another %s", s.awaitWhole(t).Round(100*time.Millisecond))
			s.checkAccount(t)
		})
		if !ok {
			return // what a failed one leaves behind would have others fail
		}
		t.Logf("%s: %s", sc.name, time.Since(began).Round(time.Second))
	}
}

// TestLateEndpoints restarts all replicas under load while those that are about to end stay endpoints for 8 s more. Their
// certificates are those that they issue themselves.
func TestLateEndpoints(t *testing.T) {
	t.Parallel()
	s := newSetup(t, options{controllers: []string{"--endpointslice-updates-batch-period=8s"}, selfManaged: true})
	s.restartUnder(t, 100)
	s.awaitWhole(t)
	s.checkAccount(t)
}
