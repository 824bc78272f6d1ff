// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/text"
)

// Report says how policies differ.
type Report struct {
	command.Envelope
	// Effect is that of all policies together.
	Effect Effect `json:"effect"`
	// NewDenials says that writes may be denied that were not.
	NewDenials bool         `json:"newDenials"`
	Policies   []PolicyDiff `json:"policies"` // those that differ, by name
	// Writes are those of an audit log whose verdicts change. Nil: there is no audit log.
	Writes *Writes `json:"writes,omitempty"`
}

// PolicyDiff says how a policy differs.
type PolicyDiff struct {
	// Name is the name of the new policy, or of the old one if it was removed.
	Name string `json:"name"`
	// OldName is the name of the old policy if that is another.
	OldName    string   `json:"oldName,omitempty"`
	Effect     Effect   `json:"effect"`
	NewDenials bool     `json:"newDenials"`
	Changes    []Change `json:"changes"`
}

// Values of a policy that was added or removed.
const (
	absent  = "absent"
	present = "present"
)

// NewReport compares policies by name. If there is one of each, they are compared whatever their names.
func NewReport(old, updated []*v1alpha1.NodeRestrictionPolicy) *Report {
	r := &Report{Envelope: command.Envelope{APIVersion: command.APIVersion, Kind: "PolicyDiff"}, Policies: []PolicyDiff{}}
	for _, p := range pairsOf(old, updated) {
		r.add(p.old, p.updated)
	}
	slices.SortFunc(r.Policies, func(a, b PolicyDiff) int { return cmp.Compare(a.Name, b.Name) })
	return r
}

// pair has two versions of a policy. One of them may be nil.
type pair struct {
	old, updated *v1alpha1.NodeRestrictionPolicy
}

// pairsOf pairs policies by name, or the only ones.
func pairsOf(old, updated []*v1alpha1.NodeRestrictionPolicy) []pair {
	if len(old) == 1 && len(updated) == 1 {
		return []pair{{old[0], updated[0]}}
	}
	before := map[string]*v1alpha1.NodeRestrictionPolicy{}
	for _, p := range old {
		before[p.Name] = p
	}
	var pairs []pair
	for _, p := range updated {
		pairs = append(pairs, pair{before[p.Name], p})
		delete(before, p.Name)
	}
	for _, p := range old {
		if before[p.Name] != nil {
			pairs = append(pairs, pair{p, nil})
		}
	}
	return pairs
}

// add compares two policies. One of them may be nil.
func (r *Report) add(old, updated *v1alpha1.NodeRestrictionPolicy) {
	var d PolicyDiff
	switch {
	case old == nil:
		d.Name = updated.Name
		d.Changes = []Change{{Effect: Narrower, Old: []string{absent}, New: []string{present}}}
		d.NewDenials = denies(&updated.Spec)
	case updated == nil:
		d.Name = old.Name
		d.Changes = []Change{{Effect: Wider, Old: []string{present}, New: []string{absent}}}
	default:
		d.Name = updated.Name
		if old.Name != updated.Name {
			d.OldName = old.Name
		}
		d.Changes = Compare(&old.Spec, &updated.Spec)
		d.NewDenials = denies(&updated.Spec)
	}
	if len(d.Changes) == 0 {
		return
	}
	for _, c := range d.Changes {
		d.Effect |= c.Effect
	}
	d.NewDenials = d.NewDenials && d.Effect&Narrower != 0
	r.Effect |= d.Effect
	r.NewDenials = r.NewDenials || d.NewDenials
	r.Policies = append(r.Policies, d)
}

// maxShown is how many elements of a list a table shows.
const maxShown = 10

func (r *Report) writeText(w io.Writer) error {
	if err := r.writePolicies(w); err != nil || r.Writes == nil {
		return err
	}
	return r.Writes.writeText(w)
}

func (r *Report) writePolicies(w io.Writer) error {
	if len(r.Policies) == 0 {
		_, err := io.WriteString(w, "the policies are the same\n")
		return err
	}
	t := &command.Table{Header: []string{"POLICY", "FIELD", "EFFECT", "OLD", "NEW"}}
	for i := range r.Policies {
		d := &r.Policies[i]
		name := d.Name
		if d.OldName != "" {
			name = d.OldName + " -> " + d.Name
		}
		for _, c := range d.Changes {
			t.Add(text.Printable(name), fieldText(c.Field), c.Effect.String(), cell(c.Old), cell(c.New))
		}
	}
	return t.Write(w)
}

func fieldText(field string) string {
	if field == "" {
		return "-"
	}
	return text.Printable(field)
}

// cell shows values, one a line.
func cell(values []string) string {
	if len(values) == 0 {
		return "-"
	}
	var lines []string
	for _, v := range values[:min(len(values), maxShown)] {
		lines = append(lines, text.Printable(v))
	}
	if more := len(values) - maxShown; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, "\n")
}

// err is the error of the command.
func (r *Report) err() error {
	if r.Writes != nil {
		return r.Writes.err()
	}
	if !r.NewDenials {
		return nil
	}
	var names []string
	for i := range r.Policies {
		if r.Policies[i].NewDenials {
			names = append(names, r.Policies[i].Name)
		}
	}
	return command.No("writes may be denied that were not, by %s", text.QuoteAll(names))
}
