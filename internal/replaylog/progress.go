// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package replaylog

import (
	"fmt"
	"io"
	"os"
	"time"

	"noderestriction.plus/internal/auditlog"
)

// progress says on a terminal how much was read.
type progress struct {
	w     io.Writer // nil: nothing is said
	shown time.Time
	calls int
	wrote bool
}

const (
	progressEvery = time.Second
	// callsBetween is how many events are read between two looks at the clock.
	callsBetween = 1024
)

func newProgress(w io.Writer, always bool) *progress {
	p := &progress{shown: time.Now()}
	if always || isTerminal(w) {
		p.w = w
	}
	return p
}

func isTerminal(w io.Writer) bool {
	f, is := w.(*os.File)
	if !is {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// show says how many events were read, once a second at most.
func (p *progress) show(log *auditlog.Log) {
	p.calls++
	if p.w == nil || p.calls%callsBetween != 0 || time.Since(p.shown) < progressEvery {
		return
	}
	p.shown, p.wrote = time.Now(), true
	fmt.Fprintf(p.w, "\r%d events, until %s", log.Events, log.Last.UTC().Format(time.RFC3339))
}

// end ends the line.
func (p *progress) end() {
	if p.wrote {
		fmt.Fprintln(p.w)
	}
}
