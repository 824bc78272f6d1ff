// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package stage

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"golang.org/x/term"
)

// Screen prints for a person. Colours are used only on a terminal.
type Screen struct {
	out    io.Writer
	start  time.Time
	colour bool
}

func newScreen(out *os.File) *Screen {
	return &Screen{out: out, start: time.Now(), colour: term.IsTerminal(int(out.Fd())) && os.Getenv("NO_COLOR") == ""}
}

// Write implements io.Writer, for progress.
func (s *Screen) Write(p []byte) (int, error) { return s.out.Write(p) }

func (s *Screen) paint(code, text string) string {
	if !s.colour {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// Title starts a section, with the time since the start.
func (s *Screen) Title(format string, args ...any) {
	text := s.paint("1", fmt.Sprintf(format, args...))
	fmt.Fprintf(s.out, "\n[%3.0f s] %s\n", time.Since(s.start).Seconds(), text)
}

// Line prints a line of a section.
func (s *Screen) Line(format string, args ...any) {
	fmt.Fprintf(s.out, "  "+format+"\n", args...)
}

// outcome shows an attempt and what the API server answered.
func (s *Screen) outcome(o Outcome) {
	s.Line("%s", o.Attempt.What)
	s.Line("  %s", s.paint("2", fmt.Sprintf("%s %s  %s", o.Attempt.method, o.Attempt.Path, o.Attempt.shown)))
	code := fmt.Sprintf("%d %s", o.code, http.StatusText(o.code))
	if o.Refusal == nil {
		s.Line("  %s", s.paint("31", code))
		return
	}
	s.Line("  %s: %s", s.paint("32", code), o.Refusal)
}
