// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package deadline_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"noderestriction.plus/internal/deadline"
)

func TestDeadline(t *testing.T) {
	arrived := time.Date(2026, 11, 29, 8, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		query     string
		due, last time.Duration
	}{
		"the timeout that the API server appends":     {"timeout=2s", 2 * time.Second, 1600 * time.Millisecond},
		"with other parameters":                       {"a=b&timeout=5s&timeout=1s", 5 * time.Second, 4 * time.Second},
		"without one it is the API server's default":  {"", 10 * time.Second, 8 * time.Second},
		"one that is no duration is as if absent":     {"timeout=soon", 10 * time.Second, 8 * time.Second},
		"one that is escaped is as if absent":         {"timeout=%32s", 10 * time.Second, 8 * time.Second},
		"a negative one is as if absent":              {"timeout=-2s", 10 * time.Second, 8 * time.Second},
		"a shorter one than the API server knows":     {"timeout=1ns", time.Second, 800 * time.Millisecond},
		"a longer one than the API server knows":      {"timeout=2562047h", 30 * time.Second, 24 * time.Second},
		"one that is more than a duration can be":     {"timeout=9999999999999h", 10 * time.Second, 8 * time.Second},
		"another parameter with the name at its end":  {"xtimeout=2s", 10 * time.Second, 8 * time.Second},
		"another parameter with the name in its text": {"x=timeout=2s", 10 * time.Second, 8 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), "POST", "/admit?"+test.query, nil)
			d := deadline.Of(r, arrived)
			if due, last := d.Due().Sub(arrived), d.Last().Sub(arrived); due != test.due || last != test.last {
				t.Errorf("due after %s, last work at %s, want %s and %s", due, last, test.due, test.last)
			}
		})
	}
}

func TestADeadlineIsLateOnceItIsOver(t *testing.T) {
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/admit?timeout=2s", nil)
	if deadline.Of(r, time.Now()).Late() || !deadline.Of(r, time.Now().Add(-2*time.Second)).Late() {
		t.Error("late at once, or not even after the timeout")
	}
}
