// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package certificates

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"go.uber.org/goleak"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"

	"noderestriction.plus/internal/faultlog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestWithoutAnAPIServerThereIsNoCertificateAndNoEnd(t *testing.T) {
	t.Parallel()
	s, err := New(Options{
		Config: &rest.Config{Host: "https://127.0.0.1:1"}, // nothing listens there
		Secret: types.NamespacedName{Namespace: "a", Name: "b"}, DNSNames: []string{"localhost"}, Configuration: "c",
		NewInformer: toolscache.NewSharedIndexInformer, Log: logr.Discard(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Start(ctx) }()
	select {
	case err := <-ended:
		t.Fatalf("it ended: %v", err)
	case <-time.After(2 * interval):
	}
	if _, err := s.GetCertificate(nil); err == nil {
		t.Error("there is a certificate")
	}
	if s.Check(nil) == nil {
		t.Error("it is ready")
	}
	if !s.Expiry().IsZero() {
		t.Errorf("it expires at %s", s.Expiry())
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("it ended with an error: %v", err)
	}
}

func TestFailuresAreCountedEachTimeAndLoggedOnce(t *testing.T) {
	t.Parallel()
	lines := 0
	s := &SelfManaged{faults: faultlog.New(funcr.New(func(string, string) { lines++ }, funcr.Options{}))}
	s.report(cannotWrite, nil)
	for range 3 {
		s.report(cannotKeep, errors.New("forbidden"))
		s.report(cannotWrite, errors.New("conflict"))
	}
	s.report(cannotWrite, nil)
	if n := s.RenewalErrors(); n != 6 {
		t.Errorf("%d failures are counted, want 6", n)
	}
	if lines != 3 {
		t.Errorf("%d lines are logged, want 3", lines)
	}
}

func TestAttempts(t *testing.T) {
	t.Parallel()
	conflict := apierrors.NewConflict(schema.GroupResource{Resource: "secrets"}, "a", errors.New("newer"))
	now := epoch
	a := &attempts{}
	try := func(version string, result error) (due, wrote bool, err error) {
		if !a.due(version, now) {
			return false, false, nil
		}
		wrote, err = a.made(t.Context(), result, now)
		return true, wrote, err
	}
	if due, wrote, err := try("", conflict); !due || wrote || err != nil {
		t.Errorf("the first attempt, which another replica beats: due %v, wrote %v, %v", due, wrote, err)
	}
	if due, _, _ := try("", nil); due {
		t.Error("there is no pause after the first attempt")
	}
	now = now.Add(minRetry)
	if due, _, err := try("", conflict); !due || err == nil {
		t.Errorf("a second conflict with the same version: due %v, %v", due, err)
	}
	for range 10 { // the pause does not grow without bound
		now = now.Add(maxRetry)
		if due, _, err := try("", errors.New("forbidden")); !due || err == nil {
			t.Fatalf("after the longest pause: due %v, %v", due, err)
		}
	}
	now = now.Add(minRetry)
	if due, wrote, err := try("2", nil); !due || !wrote || err != nil {
		t.Errorf("a new version after the shortest pause: due %v, wrote %v, %v", due, wrote, err)
	}
	now = now.Add(maxRetry)
	if _, wrote, err := try("2", conflict); wrote || err != nil {
		t.Errorf("a conflict after a success: wrote %v, %v", wrote, err)
	}
}
