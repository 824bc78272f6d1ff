// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package learn

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/replay"
	"noderestriction.plus/policy"
)

// Result is what was learned.
type Result struct {
	command.Envelope
	Policy *v1alpha1.NodeRestrictionPolicy `json:"policy"`
	Log    Log                             `json:"log"`
	// Learned are the lines in the policy that the base does not have, and Review those that are left out.
	Learned []Line `json:"learned"`
	Review  []Line `json:"review"`
	// NotAllowed are the writes with violations that are never learned.
	NotAllowed []Refusal `json:"notAllowed"`
	// Violating is how many writes the base would deny, and Denied how many of them the policy would. Unlearned are those of Denied that
	// are beyond the bounds of what is counted, and Undecided those on which some rules have no verdict.
	Violating int `json:"violating"`
	Denied    int `json:"denied"`
	Unlearned int `json:"unlearned"`
	Undecided int `json:"undecided"`
	// Holdout is the trial on the end of the log. Nil: there was none.
	Holdout *Holdout `json:"holdout,omitempty"`
	// NewPerDay is how many of the learned elements were needed for the first time, for each day of the log in UTC.
	NewPerDay []int `json:"newPerDay"`

	want draft // the spec of the policy, apart from its actions
}

// Log is what was read.
type Log struct {
	First     time.Time `json:"first"`
	Last      time.Time `json:"last"`
	Kubelets  int       `json:"kubelets"`
	Evaluated int       `json:"evaluated"` // writes by kubelets
	Unknown   int       `json:"unknown"`   // writes by kubelets that could not be evaluated
	// WithoutOwners is how many of the evaluated writes were not evaluated by the rules about managedFields, which are not logged.
	WithoutOwners int `json:"withoutManagedFields"`
	// Registrations are the registrations of Nodes, the only writes that teach what may be registered.
	Registrations Registrations `json:"registrations"`
	// Assuming is how many of the unknown writes could be evaluated if the log had all writes of their objects.
	Assuming int `json:"assuming"`
}

// Refusal are writes that violate a rule in a way that is never learned.
type Refusal struct {
	Rule string `json:"rule"`
	Evidence
	Example string `json:"example"` // the violation in the first of them
}

// Holdout is the trial of what the beginning of the log teaches on its end.
type Holdout struct {
	Share  float64   `json:"share"`
	From   time.Time `json:"from"`
	Denied int       `json:"denied"` // writes since From that the policy allows, and that what was learned before would deny
	Nodes  int       `json:"nodes"`  // nodes of these writes
	Lines  []string  `json:"lines"`  // fields that would have denied them
	// Capped says that there were so many violations that not all of them were tried.
	Capped bool `json:"capped,omitempty"`
}

// Finish returns what was learned from a log. Writes that assume a log that is more complete teach nothing.
func (l *Learner) Finish(log Log, complete replay.Completeness) *Result {
	l.forget(complete)
	total := tally{}
	for assumes, t := range l.tallies {
		if assumes <= complete {
			total.unlearned += t.unlearned
			total.unallowed += t.unallowed
			total.undecided += t.undecided
		}
	}
	r := &Result{
		Envelope: command.Envelope{APIVersion: command.APIVersion, Kind: "LearnedPolicy"},
		Log:      log, Learned: []Line{}, Review: []Line{}, NotAllowed: l.refusals(), NewPerDay: []int{},
		Violating: total.sum(), Denied: total.sum(), Unlearned: total.unlearned, Undecided: total.undecided,
	}
	lines := l.teach(l.order)
	for _, line := range lines {
		if line.Review == "" {
			r.Learned = append(r.Learned, line)
		} else {
			r.Review = append(r.Review, line)
		}
	}
	missing := l.missing(lines)
	for _, c := range l.order {
		r.Violating += c.writes
		if len(missing[c.needs]) > 0 {
			r.Denied += c.writes
		}
	}
	elements := make([]Element, len(r.Learned))
	for i := range r.Learned {
		elements[i] = r.Learned[i].Element
	}
	r.want = l.oracle.base.with(l.oracle.fields, elements)
	r.countDays()
	r.Holdout = l.holdout(log, missing)
	return r
}

// forget forgets the cases that assume a log that is more complete.
func (l *Learner) forget(complete replay.Completeness) {
	numbers := make([]int, len(l.order))
	var kept []*caseOf
	for i, c := range l.order {
		if c.assumes <= complete {
			numbers[i] = len(kept)
			kept = append(kept, c)
		}
	}
	l.times = slices.DeleteFunc(l.times, func(m moment) bool { return l.order[m.of].assumes > complete })
	for i := range l.times {
		l.times[i].of = numbers[l.times[i].of]
	}
	for i, c := range kept {
		c.number = i
	}
	l.order = kept
	maps.DeleteFunc(l.refused, func(key refusedKey, _ *refused) bool { return key.assumes > complete })
}

// teach returns the lines for cases.
func (l *Learner) teach(cases []*caseOf) []Line {
	lesson := l.newLesson()
	return lesson.teach(evidencesOf(cases, l.needed))
}

func (l *Learner) newLesson() *lesson {
	agents := append(l.agents.names(), make([]string, otherAgents+1-len(l.agents))...)
	agents[otherAgents] = "others"
	known := make([]bool, len(agents))
	for i, agent := range agents[:otherAgents] {
		known[i] = slices.Contains(l.options.Agents, agent)
	}
	return &lesson{options: l.options, nodes: l.nodes.names(), agents: agents, known: known, base: l.oracle.base}
}

// refusals returns the writes with violations that are never learned, by rule.
func (l *Learner) refusals() []Refusal {
	by := map[policy.RuleID][]*refused{}
	for key, r := range l.refused {
		by[key.rule] = append(by[key.rule], r)
	}
	lesson, refusals := l.newLesson(), []Refusal{}
	for _, rule := range slices.Sorted(maps.Keys(by)) {
		of := by[rule]
		slices.SortFunc(of, func(a, b *refused) int {
			return cmp.Or(a.first.Compare(b.first), strings.Compare(a.example, b.example))
		})
		var cases []*caseOf
		for _, r := range of {
			cases = append(cases, &r.caseOf)
		}
		refusals = append(refusals, Refusal{string(rule), lesson.evidenceOf(cases), of[0].example})
	}
	return refusals
}

const (
	day     = 24 * time.Hour
	maxDays = 366
)

// countDays counts the elements that were needed for the first time, by day.
func (r *Result) countDays() {
	start := r.Log.First.UTC().Truncate(day)
	days := int(r.Log.Last.Sub(start)/day) + 1
	if r.Log.First.IsZero() || days > maxDays {
		return
	}
	r.NewPerDay = make([]int, days)
	for _, line := range r.Learned {
		for _, e := range line.from {
			if on := int(e.first.Sub(start) / day); on >= 0 && on < days {
				r.NewPerDay[on]++
			}
		}
	}
}

// holdout tries what the beginning of the log teaches on those writes in the rest that the policy allows, given what the policy lacks.
func (l *Learner) holdout(log Log, lacks [][]Element) *Holdout {
	if l.options.Holdout <= 0 {
		return nil
	}
	h := &Holdout{
		Share: l.options.Holdout, From: log.Last.Add(-scaled(log.Last.Sub(log.First), l.options.Holdout)), Lines: []string{},
		Capped: len(l.times) == maxTimes,
	}
	before := map[int]*caseOf{}
	for _, m := range l.times {
		if !m.at.Before(h.From) {
			continue
		}
		c := before[m.of]
		if c == nil {
			c = &caseOf{caseKey: l.order[m.of].caseKey, number: m.of, first: m.at, last: m.at}
			before[m.of] = c
		}
		c.add(1, m.at, m.at)
	}
	cases := slices.SortedFunc(maps.Values(before), func(a, b *caseOf) int { return cmp.Compare(a.number, b.number) })
	missing := l.missing(l.teach(cases))
	nodes, fields := map[int]bool{}, map[string]bool{}
	for _, m := range l.times {
		c := l.order[m.of]
		if m.at.Before(h.From) || len(missing[c.needs]) == 0 || len(lacks[c.needs]) > 0 {
			continue
		}
		h.Denied++
		nodes[c.node] = true
		for _, e := range missing[c.needs] {
			fields[e.Field] = true
		}
	}
	h.Nodes = len(nodes)
	h.Lines = append(h.Lines, slices.Sorted(maps.Keys(fields))...)
	return h
}

func scaled(d time.Duration, share float64) time.Duration { return time.Duration(float64(d) * share) }

// missing returns, for each set of elements, those that a policy with lines does not have.
func (l *Learner) missing(lines []Line) [][]Element {
	has := newCoverage(l.oracle.fields, lines)
	missing := make([][]Element, len(l.needed))
	for i, needed := range l.needed {
		for _, e := range needed {
			if !has.has(e) {
				missing[i] = append(missing[i], e)
			}
		}
	}
	return missing
}
