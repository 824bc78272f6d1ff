// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package replaylog reads the files that a replay is about: audit logs, and the objects that stood before them.
package replaylog

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"noderestriction.plus/internal/auditlog"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/input"
	"noderestriction.plus/internal/replay"
	"noderestriction.plus/internal/text"
)

// Source are the files and the times of a replay, and the flags that say so.
type Source struct {
	AuditLogs, Objects []string
	// Complete says that the log has every write of Nodes and pods.
	Complete bool
	// Seen, if set, is called with each event, before it is known whether the replay needs it.
	Seen func(*auditlog.Event)

	format       auditlog.Format
	skew         time.Duration
	since, until string
	progress     bool
}

const (
	defaultSkew = 10 * time.Second
	maxSkew     = time.Minute
	// maxObjects bounds a file of --objects, in bytes, after it is decompressed.
	maxObjects = 1 << 30
)

// AddFlags adds the flags about files.
func (s *Source) AddFlags(cmd *cobra.Command) {
	s.format = auditlog.Auto
	flags := cmd.Flags()
	flags.StringArrayVar(&s.AuditLogs, "audit-log", nil,
		"`file` with the audit log of an API server, a pattern in\nquotes, or - for standard input; may be repeated")
	flags.Var(&s.format, "format", strings.Replace(auditlog.FormatUsage, ": ", ":\n", 1))
	command.Complete(cmd, "format", auditlog.Formats())
	flags.StringArrayVar(&s.Objects, "objects", nil,
		"`file` with Nodes and pods as kubectl get -o json prints\nthem; may be repeated")
	flags.BoolVar(&s.Complete, "complete", false,
		"the log has every write of Nodes and pods, at whichever\nlevel: do not conclude it from the objects in it")
	flags.DurationVar(&s.skew, "clock-skew", defaultSkew,
		"`time` by which the clocks of API servers may differ; 0 if\nthe log is that of a single one")
	flags.BoolVar(&s.progress, "progress", false, "print progress on standard error even if it is no terminal")
}

// AddTimeFlags adds the flags about times.
func (s *Source) AddTimeFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&s.since, "since", "",
		"only writes from this `time` on: an age such as 36h or 7d,\nor 2026-11-24T08:00:00Z; the log before is still read")
	flags.StringVar(&s.until, "until", "", "only writes before this `time`, in the same forms")
}

// Given reports whether there is an audit log, for commands that also work without one. Without it, no other flag of the source may be
// given.
func (s *Source) Given(cmd *cobra.Command) (bool, error) {
	if len(s.AuditLogs) > 0 {
		return true, nil
	}
	for _, name := range []string{"format", "objects", "complete", "clock-skew", "progress", "since", "until"} {
		if cmd.Flags().Changed(name) {
			return false, command.Usagef("--%s: only has a meaning with --audit-log", name)
		}
	}
	return false, nil
}

// opener opens files by the names that flags have for them.
type opener interface {
	Open(name string) (io.ReadCloser, error)
}

// Options checks the flags, and returns what they say about the replay.
func (s *Source) Options(now time.Time) (replay.Options, error) {
	o := replay.Options{Skew: s.skew, Complete: s.Complete}
	switch {
	case len(s.AuditLogs) == 0:
		return o, command.Usagef("--audit-log: name the audit log of an API server")
	case s.skew < 0 || s.skew > maxSkew:
		return o, command.Usagef("--clock-skew: must be 0 to %s", maxSkew)
	}
	for _, bound := range []struct {
		flag, value string
		into        *time.Time
	}{{"--since", s.since, &o.Since}, {"--until", s.until, &o.Until}} {
		if bound.value == "" {
			continue
		}
		at, err := command.ParseTime(bound.value, now)
		if err != nil {
			return o, command.Usagef("%s: %w", bound.flag, err)
		}
		*bound.into = at
	}
	return o, nil
}

// Read reads the files into a replay. It returns the log, and how many inputs it has.
func (s *Source) Read(in opener, r *replay.Replay, notes io.Writer) (log *auditlog.Log, inputs int, err error) {
	for _, name := range s.Objects {
		if err := addObjects(in, name, r); err != nil {
			return nil, 0, err
		}
	}
	files, err := s.inputs(in)
	if err != nil {
		return nil, 0, err
	}
	log = auditlog.NewLog(s.format)
	log.KeepCut = true
	shown := newProgress(notes, s.progress)
	log.Want = func(e *auditlog.Event) bool {
		shown.show(log)
		if s.Seen != nil {
			s.Seen(e)
		}
		return r.Wants(e)
	}
	err = log.ReadMerged(files, r.Add)
	if err == nil {
		err = r.Finish()
	}
	shown.end()
	return log, len(files), err
}

// addObjects reads a file of --objects.
func addObjects(in opener, name string, r *replay.Replay) error {
	f, err := in.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := input.ReadAll(f, maxObjects)
	if err == nil {
		err = r.AddObjects(data)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", command.Title(name), err)
	}
	return nil
}

// inputs returns the files of --audit-log. A name that is a pattern stands for all files that it matches.
func (s *Source) inputs(in opener) ([]auditlog.Input, error) {
	var names []string
	for _, name := range s.AuditLogs {
		matches := []string{name}
		if name != command.StandardInput && strings.ContainsAny(name, "*?[") {
			var err error
			if matches, err = filepath.Glob(name); err != nil {
				return nil, command.Usagef("--audit-log: %s is no pattern of file names", text.Quote(name))
			}
			if len(matches) == 0 {
				return nil, fmt.Errorf("%s: no file matches", text.Printable(name))
			}
		}
		for _, match := range matches {
			if !slices.Contains(names, match) {
				names = append(names, match)
			}
		}
	}
	if len(names) > 1 && slices.Contains(names, command.StandardInput) {
		return nil, command.Usagef("--audit-log: standard input (-) must be the only input")
	}
	inputs := make([]auditlog.Input, len(names))
	for i, name := range names {
		inputs[i] = auditlog.Input{Name: command.Title(name), Open: func() (io.ReadCloser, error) { return in.Open(name) }}
	}
	return inputs, nil
}
