// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package profiles_test shows that what the chart renders in each profile is what a real API server takes, and does what
// the documents say of that profile.
package profiles_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/go-logr/logr"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
)

// TestMain says to controller-runtime, whose client has nothing to say here, that it is not to say so.
func TestMain(m *testing.M) {
	ctrllog.SetLogger(logr.Discard())
	os.Exit(m.Run())
}

// check ends the test if there is an error.
func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tempDir is a folder that stays if the test fails, for what is in the logs.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "nrp-profiles-")
	suite.Check(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("data and logs are kept in %s", dir)
		} else if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// recovery bounds how long anything takes that takes a moment on a machine with nothing else to do.
const recovery = 3 * time.Minute

// eventually polls until the condition holds, and ends the test if it does not in time.
func eventually(t *testing.T, what string, condition func() error) {
	t.Helper()
	began := time.Now()
	for {
		err := condition()
		if err == nil {
			return
		}
		if time.Since(began) > recovery {
			t.Fatal(fmt.Errorf("%s: not within %s: %w", what, recovery, err))
		}
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}
