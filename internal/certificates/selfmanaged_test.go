// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package certificates

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"go.uber.org/goleak"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestWithoutAnAPIServerThereIsNoCertificateAndNoEnd(t *testing.T) {
	t.Parallel()
	s, err := New(Options{
		Config: &rest.Config{Host: "https://127.0.0.1:1"}, // nobody listens there
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

func TestTroubleIsCountedEachTimeAndLoggedOnce(t *testing.T) {
	t.Parallel()
	sink := &lines{}
	s := &trouble{log: logr.New(sink)}
	library := s.libraryLog(cannotKeep)
	library.Info("it works")
	s.report(cannotWrite, nil)
	for range 3 {
		library.Error(errors.New("forbidden"), "error ensuring CA")
		s.report(cannotWrite, errors.New("conflict"))
	}
	s.report(cannotWrite, nil)
	if n := s.count.Load(); n != 6 {
		t.Errorf("%d troubles are counted", n)
	}
	if sink.errors != 2 || sink.infos != 1 {
		t.Errorf("%d errors and %d other lines", sink.errors, sink.infos)
	}
}

// lines counts what is logged.
type lines struct{ errors, infos int }

func (*lines) Init(logr.RuntimeInfo)            {}
func (*lines) Enabled(int) bool                 { return true }
func (l *lines) Info(int, string, ...any)       { l.infos++ }
func (l *lines) Error(error, string, ...any)    { l.errors++ }
func (l *lines) WithValues(...any) logr.LogSink { return l }
func (l *lines) WithName(string) logr.LogSink   { return l }
