// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package checks has the checks of the command doctor: what weakens the isolation of kubelets in a cluster. Each check is a pure function
// from a [Snapshot] to evidence. Anyone who reads the snapshot bounds it; checks bound and escape what they say of it.
package checks

import (
	"cmp"
	"fmt"
	"slices"

	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/nodeauthorizer"
	"noderestriction.plus/internal/text"
)

// Verdict is the result of a check.
type Verdict string

// Verdicts, the best first.
const (
	OK         Verdict = "ok"
	CannotTell Verdict = "cannot tell"
	Weak       Verdict = "weak"
	Bad        Verdict = "bad"
)

func (v Verdict) rank() int { return slices.Index([]Verdict{OK, CannotTell, Weak, Bad}, v) }

const (
	// maxEvidence is how much evidence a finding shows.
	maxEvidence = 25
	// maxSays bounds a sentence, in bytes.
	maxSays = 1024
	// page is the page that documents the checks.
	page = "docs/doctor.md"
)

// Check is a check.
type Check struct {
	// ID is the name of the check, and its anchor in the documentation.
	ID string
	// Asks is the question that the check answers with ok.
	Asks string
	// Severity is that of what it finds.
	Severity nodeauthorizer.Danger
	// Gain is what an attacker gains who finds it, for a sentence that begins with the attacker.
	Gain string
	// How is how the check finds out, in a few sentences.
	How string
	// Worst is the worst verdict that the check can give.
	Worst Verdict
	// Needs are the permissions without which the check cannot tell, or not everything.
	Needs []authorization.Request

	run func(*Snapshot, *Finding)
}

// Where a fix is to be run.
const (
	OnCluster      = "cluster"       // wherever kubectl has an administrator's kubeconfig
	OnControlPlane = "control plane" // on each node of the control plane, as root
	OnNode         = "node"          // on the node, as root
)

// Fix is what removes evidence.
type Fix struct {
	// Command is one line for a POSIX shell, which works as it is; empty if only a person can decide.
	Command string `json:"command,omitempty"`
	// On is where to run it.
	On string `json:"on,omitempty"`
	// Note is what to know before, or what to do if there is no command.
	Note string `json:"note,omitempty"`
}

// Evidence is a thing that was found.
type Evidence struct {
	Verdict Verdict `json:"verdict"` // Weak or Bad
	// Object and Field are where it is, such as ClusterRoleBinding "x" and subjects[0].
	Object string `json:"object"`
	Field  string `json:"field,omitempty"`
	// Says is a sentence without a period.
	Says string `json:"says"`
	Fix  Fix    `json:"fix"`
}

// Missing is a fact without which a check could not tell, or not everything.
type Missing struct {
	// Permission is what the user may not do; empty if something else is the reason.
	Permission string `json:"permission,omitempty"`
	Why        string `json:"why,omitempty"`
	// Command grants the permission; an administrator runs it.
	Command string `json:"command,omitempty"`
}

// Finding is the result of a check.
type Finding struct {
	Check    string  `json:"check"`
	Severity string  `json:"severity"`
	Verdict  Verdict `json:"verdict"`
	Asks     string  `json:"asks"`
	Gain     string  `json:"gain"`
	Docs     string  `json:"docs"`
	// Notes are what else was seen, in sentences without a period.
	Notes    []string   `json:"notes,omitempty"`
	Evidence []Evidence `json:"evidence,omitempty"`
	// More is how much evidence is left out.
	More    int       `json:"more,omitempty"`
	Missing []Missing `json:"missing,omitempty"`
}

// Run runs a check.
func (c *Check) Run(s *Snapshot) Finding {
	f := Finding{Check: c.ID, Severity: c.Severity.String(), Asks: c.Asks, Gain: c.Gain, Docs: page + "#" + c.ID, Verdict: OK}
	c.run(s, &f)
	if len(f.Missing) > 0 {
		f.Verdict = CannotTell
	}
	slices.SortStableFunc(f.Evidence, func(a, b Evidence) int { return cmp.Compare(b.Verdict.rank(), a.Verdict.rank()) })
	if len(f.Evidence) > 0 {
		f.Verdict = f.Evidence[0].Verdict
	}
	if len(f.Evidence) > maxEvidence {
		f.More = len(f.Evidence) - maxEvidence
		f.Evidence = f.Evidence[:maxEvidence]
	}
	return f
}

// bad and weak add evidence. Texts of others must be quoted by the caller.
func (f *Finding) bad(object, field string, fix Fix, format string, args ...any) {
	f.add(Bad, object, field, fix, format, args...)
}

func (f *Finding) weak(object, field string, fix Fix, format string, args ...any) {
	f.add(Weak, object, field, fix, format, args...)
}

func (f *Finding) add(v Verdict, object, field string, fix Fix, format string, args ...any) {
	f.Evidence = append(f.Evidence, Evidence{
		Verdict: v, Object: text.Printable(object), Field: text.Printable(field), Fix: fix,
		Says: text.Printable(text.Cut(fmt.Sprintf(format, args...), maxSays)),
	})
}

func (f *Finding) note(format string, args ...any) {
	f.Notes = append(f.Notes, text.Printable(text.Cut(fmt.Sprintf(format, args...), maxSays)))
}

// cannot says why the check cannot tell.
func (f *Finding) cannot(format string, args ...any) {
	f.Missing = append(f.Missing, Missing{Why: text.Printable(text.Cut(fmt.Sprintf(format, args...), maxSays))})
}

// known returns a fact, or says in the finding why it is not known, and reports false.
func known[T any](s *Snapshot, f *Finding, fact *Fact[T]) (T, bool) {
	if u := fact.Unknown; u != nil {
		f.lacks(s, u)
		return fact.Value, false
	}
	return fact.Value, true
}

// lacks adds why something is not known, once.
func (f *Finding) lacks(s *Snapshot, u *Unknown) {
	why := text.Printable(text.Cut(u.Why, maxSays))
	all := []Missing{{Why: why}}
	if len(u.Permissions) > 0 {
		all = nil
	}
	for i := range u.Permissions {
		all = append(all, Missing{Permission: text.Printable(u.Permissions[i].String()), Why: why, Command: Grant(s.User, &u.Permissions[i])})
	}
	for _, m := range all {
		if !slices.Contains(f.Missing, m) {
			f.Missing = append(f.Missing, m)
		}
	}
}
