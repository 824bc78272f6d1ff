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

// Source are the files, and the flags that name them.
type Source struct {
	AuditLogs, Objects []string
	// Skew is by how much the clocks of API servers may differ.
	Skew time.Duration
	// Complete says that the logs have all writes of Nodes and pods from their beginning to their end.
	Complete bool

	format   auditlog.Format
	progress bool
}

const (
	defaultSkew = 10 * time.Second
	maxSkew     = time.Minute
	// maxObjects bounds a file of --objects, in bytes, after it is decompressed.
	maxObjects = 1 << 30
)

// AddFlags adds the flags.
func (s *Source) AddFlags(cmd *cobra.Command) {
	s.format = auditlog.Auto
	flags := cmd.Flags()
	flags.StringArrayVar(&s.AuditLogs, "audit-log", nil,
		"`file` with the audit log of an API server, a pattern in quotes, or - for\nstandard input; may be repeated")
	flags.Var(&s.format, "format", auditlog.FormatUsage)
	command.Complete(cmd, "format", auditlog.Formats())
	flags.StringArrayVar(&s.Objects, "objects", nil,
		"`file` with Nodes and pods as kubectl get -o json prints them; may be\nrepeated")
	flags.DurationVar(&s.Skew, "clock-skew", defaultSkew,
		"`time` by which the clocks of API servers may differ; a second is enough\nfor the log of a single one")
	flags.BoolVar(&s.Complete, "complete", false,
		"the log has every write of Nodes and pods, at whichever level: do not\nconclude it from the objects in it")
	flags.BoolVar(&s.progress, "progress", false, "print progress on standard error even if it is no terminal")
}

// Check checks the flags.
func (s *Source) Check() error {
	switch {
	case len(s.AuditLogs) == 0:
		return command.Usagef("--audit-log: name the audit log of an API server")
	case s.Skew < time.Second || s.Skew > maxSkew:
		return command.Usagef("--clock-skew: must be %s to %s", time.Second, maxSkew)
	}
	return nil
}

// Read reads the files into a replay. It returns the log, and how many inputs it has.
func (s *Source) Read(in *command.Inputs, r *replay.Replay, notes io.Writer) (log *auditlog.Log, inputs int, err error) {
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
		return replay.Wants(e)
	}
	err = log.ReadMerged(files, r.Add)
	if err == nil {
		err = r.Finish()
	}
	shown.end()
	return log, len(files), err
}

// addObjects reads a file of --objects.
func addObjects(in *command.Inputs, name string, r *replay.Replay) error {
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
func (s *Source) inputs(in *command.Inputs) ([]auditlog.Input, error) {
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
