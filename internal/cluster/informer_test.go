// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// failing has the errors of successive tries; after the last one tries succeed.
func failing(errs ...error) (try func() (string, error), tries *int) {
	tries = new(int)
	return func() (string, error) {
		*tries++
		if *tries <= len(errs) {
			return "", errs[*tries-1]
		}
		return "result", nil
	}, tries
}

func TestReadsAreTriedAgain(t *testing.T) {
	refused := errors.New("connection refused")
	forbidden := apierrors.NewForbidden(corev1.Resource("nodes"), "", errors.New("no role"))
	tooLarge := apierrors.NewTimeoutError("Too large resource version", 1)
	tooLarge.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: metav1.CauseTypeResourceVersionTooLarge}}
	for _, test := range []struct {
		name  string
		errs  []error
		tries int
		fails bool
	}{
		{name: "a success is not repeated", tries: 1},
		{
			name: "an API server that is away, does not permit or does not know the resource is asked again",
			errs: []error{
				refused, refused, forbidden, apierrors.NewNotFound(corev1.Resource("x"), ""), apierrors.NewInternalError(refused),
			},
			tries: 6,
		},
		{
			name: "a resource version that is too old needs a new list",
			errs: []error{apierrors.NewResourceExpired("x")}, tries: 1, fails: true,
		},
		{name: "a resource version from the future needs a new list", errs: []error{tooLarge}, tries: 1, fails: true},
		{
			name: "a request that is not understood is not repeated",
			errs: []error{apierrors.NewBadRequest("x")}, tries: 1, fails: true,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			failures := prometheus.NewCounter(prometheus.CounterOpts{Name: "failures"})
			s := &steadySource{interval: time.Millisecond, log: logr.Discard(), failures: failures}
			try, tries := failing(test.errs...)
			result, err := retried(t.Context(), s, "list", try)
			if (err != nil) != test.fails || err == nil && result != "result" || *tries != test.tries {
				t.Errorf("%q, %v after %d tries", result, err, *tries)
			}
			if n := testutil.ToFloat64(failures); int(n) != test.tries-1 {
				t.Errorf("%v failures counted", n)
			}
		})
	}
}

func TestReadsEndWithTheirContext(t *testing.T) {
	s := &steadySource{
		interval: time.Hour, log: logr.Discard(), failures: prometheus.NewCounter(prometheus.CounterOpts{Name: "failures"}),
	}
	ctx, cancel := context.WithCancel(t.Context())
	try, tries := failing(errors.New("refused"), errors.New("refused"))
	ended := make(chan error)
	go func() {
		_, err := retried(ctx, s, "watch", func() (string, error) {
			defer cancel()
			return try()
		})
		ended <- err
	}()
	if err := <-ended; err == nil || *tries != 1 {
		t.Errorf("%v after %d tries", err, *tries)
	}
}
