// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package learn

import (
	"fmt"
	"io"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/auditlog"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/input"
	"noderestriction.plus/internal/replay"
	"noderestriction.plus/internal/text"
)

// reader learns from the writes that a replay evaluates.
type reader struct {
	learner  *Learner
	kubelets map[string]bool
	log      Log
	assuming int // evaluated writes whose verdicts assume that the log lacks no write
}

// add adds a write.
func (r *reader) add(w *replay.Write) error {
	if w.Request.DryRun {
		return nil
	}
	if len(r.kubelets) < maxNodes {
		r.kubelets[text.Cut(w.Request.NodeName, maxName)] = true
	}
	if r.log.First.IsZero() || w.Time.Before(r.log.First) {
		r.log.First = w.Time
	}
	if w.Time.After(r.log.Last) {
		r.log.Last = w.Time
	}
	switch {
	case w.Evidence == replay.Undecided:
		r.log.Unknown++
	case len(w.Assumes) > 0:
		r.assuming++
	default:
		r.log.Evaluated++
	}
	if len(w.Violations) == 0 {
		return nil
	}
	violating := &Write{
		Node: w.Request.NodeName, Time: w.Time, UserAgent: w.UserAgent,
		Undecided: w.Evidence == replay.Undecided, Assumes: len(w.Assumes) > 0,
	}
	for i := range w.Violations {
		v := &w.Violations[i]
		if i == 0 || v.Rule != w.Violations[i-1].Rule {
			violating.Violations = append(violating.Violations, Violation{Rule: v.Rule, Detail: v.Detail, Request: v.Request})
		}
	}
	r.learner.Add(violating)
	return nil
}

// learn reads the audit logs.
func (o *commandOptions) learn(inputs *command.Inputs, base *v1alpha1.NodeRestrictionPolicy) (*Result, error) {
	learner, err := NewLearner(base, o.Options)
	if err != nil {
		return nil, err
	}
	r := &reader{learner: learner, kubelets: map[string]bool{}}
	run, err := replay.New(&replay.Options{Policies: []*v1alpha1.NodeRestrictionPolicy{base}}, r.add)
	if err != nil {
		return nil, err
	}
	log := auditlog.NewLog(o.format)
	if err := o.read(run, log, inputs); err != nil {
		return nil, err
	}
	if len(r.kubelets) == 0 {
		return nil, fmt.Errorf("there is no write of a kubelet in %d entries: is it the audit log of an API server?", log.Entries)
	}
	r.log.Kubelets = len(r.kubelets)
	if run.Complete() {
		r.log.Evaluated += r.assuming
	} else {
		r.log.Unknown += r.assuming
	}
	return learner.Finish(r.log, run.Complete()), nil
}

// maxObjects is the size of the largest file of --objects, in bytes.
const maxObjects = 1 << 30

// read reads the files into a replay.
func (o *commandOptions) read(run *replay.Replay, log *auditlog.Log, inputs *command.Inputs) error {
	for _, name := range o.objects {
		if err := readFile(inputs, name, func(f io.Reader) error {
			data, err := input.ReadAll(f, maxObjects)
			if err != nil {
				return err
			}
			return run.AddObjects(data)
		}); err != nil {
			return fmt.Errorf("--objects: %s: %w", command.Title(name), err)
		}
	}
	log.Want, log.KeepCut = replay.Wants, true
	for _, name := range o.logs {
		if err := readFile(inputs, name, func(f io.Reader) error { return log.Read(f, run.Add) }); err != nil {
			return fmt.Errorf("--audit-log: %s: %w", command.Title(name), err)
		}
	}
	return run.Finish()
}

func readFile(inputs *command.Inputs, name string, read func(io.Reader) error) error {
	f, err := inputs.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return read(f)
}
