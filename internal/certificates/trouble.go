// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package certificates

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/go-logr/logr"
)

// trouble logs errors that come again and again once, and their end, and counts each.
type trouble struct {
	log   logr.Logger
	count atomic.Uint64

	mu   sync.Mutex
	last map[string]string
}

// report is told the outcome of each try of something, nil for a success.
func (t *trouble) report(what string, err error) {
	now := ""
	if err != nil {
		now = err.Error()
		t.count.Add(1)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch last := t.last[what]; {
	case now == last:
	case err != nil:
		t.log.Error(err, what)
	default:
		t.log.Info("Recovered", "from", what)
	}
	if t.last == nil {
		t.last = map[string]string{}
	}
	t.last[what] = now
}

// libraryLog is a logger for cert-manager's part. It tells what goes wrong there as trouble; the rest says nothing that
// is not said here, and some of it every second.
func (t *trouble) libraryLog(what string) logr.Logger { return logr.New(&librarySink{t, what}) }

type librarySink struct {
	trouble *trouble
	what    string
}

func (*librarySink) Init(logr.RuntimeInfo)            {}
func (*librarySink) Enabled(int) bool                 { return false }
func (*librarySink) Info(int, string, ...any)         {}
func (s *librarySink) WithValues(...any) logr.LogSink { return s }
func (s *librarySink) WithName(string) logr.LogSink   { return s }

func (s *librarySink) Error(err error, text string, _ ...any) {
	s.trouble.report(s.what, fmt.Errorf("%s: %w", text, err))
}
