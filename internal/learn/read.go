// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package learn

import (
	"fmt"
	"io"
	"slices"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/replay"
	"noderestriction.plus/internal/text"
)

// reader learns from the writes that a replay evaluates.
type reader struct {
	learner  *Learner
	kubelets map[string]bool
	log      Log
	assuming map[replay.Completeness]int // evaluated writes, by what they assume
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
	assumes, undecided := assumesOf(w), slices.ContainsFunc(w.Unknown, isUndecided)
	if undecided {
		r.log.Unknown++
	} else {
		r.assuming[assumes]++
		r.log.Registrations.add(&w.Request)
		if len(w.Unknown) > 0 {
			r.log.WithoutOwners++
		}
	}
	if len(w.Violations) == 0 {
		return nil
	}
	violating := &Write{
		Node: w.Request.NodeName, Time: w.Time, UserAgent: w.UserAgent,
		Undecided: undecided, Assumes: assumes,
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

// isUndecided reports whether a rule without a verdict keeps a write from being evidence. Logs of the recommended audit policy have no
// managedFields, so that the rules about them have no verdict on any creation or PUT.
func isUndecided(u replay.Unknown) bool { return u.Reason != replay.IsStripped }

// assumesOf returns how complete the log must be for the verdicts on a write.
func assumesOf(w *replay.Write) replay.Completeness {
	for _, complete := range []replay.Completeness{replay.Lacking, replay.Fitting} {
		if _, unknown := w.Settle(complete); len(unknown) == len(w.Unknown) {
			return complete
		}
	}
	return replay.Whole
}

// learn reads the audit logs.
func (o *commandOptions) learn(inputs *command.Inputs, base *v1alpha1.NodeRestrictionPolicy, notes io.Writer) (*Result, error) {
	learner, err := NewLearner(base, o.Options)
	if err != nil {
		return nil, err
	}
	r := &reader{learner: learner, kubelets: map[string]bool{}, assuming: map[replay.Completeness]int{}}
	options := o.replay
	options.Policies = []*v1alpha1.NodeRestrictionPolicy{base}
	run, err := replay.New(&options, r.add)
	if err != nil {
		return nil, err
	}
	log, _, err := o.source.Read(inputs, run, notes)
	if err != nil {
		return nil, err
	}
	if len(r.kubelets) == 0 {
		return nil, fmt.Errorf("there is no write of a kubelet in %d entries: is it the audit log of an API server?", log.Entries)
	}
	r.log.Kubelets = len(r.kubelets)
	complete := run.Completeness()
	for assumes, writes := range r.assuming {
		if assumes <= complete {
			r.log.Evaluated += writes
		} else {
			r.log.Assuming += writes
		}
	}
	r.log.Unknown += r.log.Assuming
	r.log.Registrations.finish()
	if r.log.Evaluated == 0 {
		return nil, fmt.Errorf("no write of a kubelet could be evaluated, and %s are unknown: %s replay --unknown says why",
			grouped(r.log.Unknown), command.ByKubectl)
	}
	return learner.Finish(r.log, complete), nil
}
