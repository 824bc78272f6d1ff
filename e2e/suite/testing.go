// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/util/wait"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/kubelet"
	"noderestriction.plus/e2e/product"
)

// Main is the TestMain of packages that use this one. It discards the log of controller-runtime's client.
func Main(m *testing.M) {
	ctrllog.SetLogger(logr.Discard())
	os.Exit(m.Run())
}

// New starts a control plane for the duration of the test, in a directory as of [TempDir].
func New(t testing.TB, name string, o controlplane.APIServerOptions) *Suite {
	t.Helper()
	s, err := Start(t.Context(), Options{Dir: TempDir(t, name), Log: t.Output(), APIServer: o})
	Check(t, err)
	t.Cleanup(s.Stop)
	return s
}

// MustInstall is [Suite.Install] for the duration of the test, which fails if the product does not stop cleanly.
func (s *Suite) MustInstall(t testing.TB, o product.Options, servers ...*controlplane.APIServer) *product.Product {
	t.Helper()
	p, err := s.Install(t.Context(), o, servers...)
	Check(t, err)
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Errorf("the product did not stop cleanly: %v", err)
		}
	})
	return p
}

// MustStartKubelet is [Suite.StartKubelet] for the duration of the test.
func (s *Suite) MustStartKubelet(t testing.TB, o kubelet.Options) *kubelet.Kubelet {
	t.Helper()
	k, err := s.StartKubelet(t.Context(), o)
	Check(t, err)
	t.Cleanup(k.Stop)
	return k
}

// TempDir creates a directory that is removed at the end of the test, unless the test fails. Its path is short enough for sockets.
func TempDir(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "nrp-"+name+"-")
	Check(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("data and logs are kept in %s", dir)
		} else if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// Check ends the test on an error.
func Check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Within returns a context of the test that ends after d.
func Within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// JSON encodes a value, and ends the test if it cannot be encoded.
func JSON(t testing.TB, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	Check(t, err)
	return data
}

// Eventually is [Await] for a test, which it ends if the condition does not hold in time. It returns how long it took.
func Eventually(t testing.TB, timeout time.Duration, condition func() error) time.Duration {
	t.Helper()
	began := time.Now()
	Check(t, Await(t.Context(), timeout, condition))
	return time.Since(began)
}

// Await polls until the condition returns nil: at first every 10 ms, then less and less often, down to every 200 ms. If the timeout
// or the context ends first, the error wraps the last one of the condition.
func Await(ctx context.Context, timeout time.Duration, condition func() error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	interval := wait.Backoff{Duration: 10 * time.Millisecond, Factor: 1.5, Cap: 200 * time.Millisecond, Steps: math.MaxInt}
	var last error
	err := interval.DelayFunc().Until(ctx, true, true, func(context.Context) (bool, error) {
		last = condition()
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("not within %s: %w: %w", timeout, err, last)
	}
	return nil
}

// Sleep waits for d, and reports false if the context ends first.
func Sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
