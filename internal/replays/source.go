// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package replays

import (
	"github.com/spf13/cobra"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/auditlog"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/replay"
)

// Source is the audit logs whose writes another command evaluates.
type Source struct{ options options }

// AddFlags gives a command the flags that say what is read.
func (s *Source) AddFlags(cmd *cobra.Command) {
	o, flags := &s.options, cmd.Flags()
	o.format = auditlog.Auto
	flags.StringArrayVar(&o.auditLogs, "audit-log", nil,
		"`file` with the audit log of an API server, a pattern in\nquotes, or - for standard input; may be repeated")
	flags.Var(&o.format, "format", auditlog.FormatUsage)
	command.Complete(cmd, "format", auditlog.Formats())
	flags.StringArrayVar(&o.objects, "objects", nil,
		"with --audit-log: `file` with Nodes and pods as kubectl get\n-o json prints them; may be repeated")
	flags.BoolVar(&o.complete, "complete", false,
		"with --audit-log: the log has every write of Nodes and pods,\nat whichever level")
}

// Given reports whether there is an audit log.
func (s *Source) Given() bool { return len(s.options.auditLogs) > 0 }

// Check finds flags that have no meaning without an audit log.
func (s *Source) Check() error {
	if o := &s.options; !s.Given() && (len(o.objects) > 0 || o.complete || o.format != auditlog.Auto) {
		return command.Usagef("--objects, --complete and --format: only have a meaning with --audit-log")
	}
	return nil
}

// Evaluate evaluates the writes of the audit logs by policies, and calls a function with each.
func (s *Source) Evaluate(
	cmd *cobra.Command, in *command.Inputs, policies []*v1alpha1.NodeRestrictionPolicy, each func(*replay.Write) error,
) (*replay.Replay, error) {
	s.options.replay = replay.Options{Policies: policies, Complete: s.options.complete, Skew: defaultSkew}
	r, _, _, err := s.options.read(cmd, in, each)
	return r, err
}
