// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package denial

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/record"
	"noderestriction.plus/policy"
)

// additions collects what a Status would add to the policies.
type additions struct {
	mu  sync.Mutex
	log []string
	err error
}

func (a *additions) add(_ context.Context, policy string, ts tallies) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		return a.err
	}
	for _, action := range []v1alpha1.ValidationAction{v1alpha1.Deny, v1alpha1.Warn, v1alpha1.Audit} {
		t, counted := ts[action]
		if !counted {
			continue
		}
		entry := fmt.Sprintf("%s +%d", policy, t.total)
		if action != v1alpha1.Deny {
			entry += " " + string(action)
		}
		a.log = append(a.log, entry)
	}
	return nil
}

// run runs a Status over what happens, in fake time, and returns what it added.
func run(t *testing.T, happens func(s *Status, a *additions)) *additions {
	t.Helper()
	a := &additions{}
	synctest.Test(t, func(t *testing.T) {
		s := newStatus(a.add, logr.Discard())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Start(ctx) }()
		synctest.Wait()
		happens(s, a)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return a
}

func observe(s *Status, change func(*record.Record)) {
	rec := denied("worker-1")
	if change != nil {
		change(&rec)
	}
	s.Observe(&rec)
}

func TestStatusWritesAPolicyAtMostEveryTenSeconds(t *testing.T) {
	a := run(t, func(s *Status, _ *additions) {
		for range 25 {
			observe(s, nil)
			time.Sleep(1030 * time.Millisecond)
		}
	})
	if got, want := fmt.Sprint(a.log), "[recommended +1 recommended +10 recommended +10 recommended +4]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestStatusWritesOnceMoreAtShutdown(t *testing.T) {
	a := run(t, func(s *Status, _ *additions) { observe(s, nil) })
	if got, want := fmt.Sprint(a.log), "[recommended +1]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestStatusKeepsWhatItCouldNotWrite(t *testing.T) {
	a := run(t, func(s *Status, a *additions) {
		a.err = errors.New("the API server is away")
		observe(s, nil)
		time.Sleep(statusInterval + 1)
		synctest.Wait()
		observe(s, nil)
		a.mu.Lock()
		a.err = nil
		a.mu.Unlock()
	})
	if got, want := fmt.Sprint(a.log), "[recommended +2]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestStatusForgetsAPolicyThatIsGone(t *testing.T) {
	a := run(t, func(s *Status, a *additions) {
		a.err = apierrors.NewNotFound(schema.GroupResource{}, "recommended")
		observe(s, nil)
		time.Sleep(statusInterval + 1)
		synctest.Wait()
		a.mu.Lock()
		a.err = nil
		a.mu.Unlock()
	})
	if len(a.log) != 0 {
		t.Errorf("got %v, want nothing", a.log)
	}
}

func TestStatusDoesNotCountEverything(t *testing.T) {
	a := run(t, func(s *Status, _ *additions) {
		observe(s, func(rec *record.Record) { rec.DryRun = true })
		observe(s, func(rec *record.Record) { rec.Late = true })
		observe(s, func(rec *record.Record) { rec.Msg = record.Probed })
		observe(s, func(rec *record.Record) { rec.Decision.Violations[0].Policy = "" })
	})
	if len(a.log) != 0 {
		t.Errorf("got %v, want nothing", a.log)
	}
}

func TestStatusCountsAWriteForEachPolicyByItsAction(t *testing.T) {
	a := run(t, func(s *Status, _ *additions) {
		observe(s, func(rec *record.Record) {
			rec.Decision.Violations = append(rec.Decision.Violations,
				policy.PolicyViolation{Policy: "recommended", Rule: "node-taints", Action: v1alpha1.Deny},
				policy.PolicyViolation{Policy: "strict", Rule: "node-taints", Action: v1alpha1.Deny},
				policy.PolicyViolation{Policy: "careful", Rule: "node-taints", Action: v1alpha1.Warn, Audited: true},
				policy.PolicyViolation{Policy: "trial", Rule: "node-taints", Action: v1alpha1.Audit})
		})
		observe(s, func(rec *record.Record) {
			rec.Msg = policy.Audited
			rec.Decision.Violations = []policy.PolicyViolation{{Policy: "trial", Rule: "node-taints", Action: v1alpha1.Audit}}
		})
	})
	if got, want := fmt.Sprint(a.log), "[careful +1 Warn recommended +1 strict +1 trial +2 Audit]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestStatusRemembersABoundedNumberOfPolicies(t *testing.T) {
	a := run(t, func(s *Status, _ *additions) {
		for i := range 2 * maxTallies {
			observe(s, func(rec *record.Record) { rec.Decision.Violations[0].Policy = fmt.Sprint("p", i) })
		}
	})
	if len(a.log) != maxTallies {
		t.Errorf("got %d policies, want %d", len(a.log), maxTallies)
	}
}
