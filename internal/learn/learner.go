// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package learn

import (
	"cmp"
	"strings"
	"time"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/replay"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
)

const (
	// maxNodes is how many kubelets are distinguished. Writes of others teach nothing.
	maxNodes = 20_000
	// maxNeeds is how many different sets of elements the writes of one node may need. All its further writes teach nothing, and cost
	// nothing.
	maxNeeds = 4096
	// maxAgents is how many programs are distinguished. Others are counted together.
	maxAgents = 256
	// maxTimes is how many times of writes are kept for the hold-out.
	maxTimes = 1 << 22
	// maxName is how many bytes of the name of a node or a program are kept.
	maxName = 256
)

// Options say what is taken in.
type Options struct {
	MinNodes int      // how many nodes must need an element
	Agents   []string // programs whose writes count, as their user agents begin
	All      bool     // take in what Options would leave for review
	// Holdout is the share of the time, from the end, on which the rest is tried. 0: none.
	Holdout float64
}

// Write is a write by a kubelet that was stored, and that the base would deny.
type Write struct {
	Node       string
	Time       time.Time
	UserAgent  string
	Violations []Violation // in the order of the rules
	// Undecided says that other rules have no verdict.
	Undecided bool
	// Assumes is how complete the log must be for the verdicts to hold.
	Assumes replay.Completeness
}

// Violation is that of a rule.
type Violation struct {
	Rule   policy.RuleID
	Detail string
	// Request is the write, possibly with gaps. Nil: it was not evaluated.
	Request *policy.Request
}

// Learner learns from writes. It must not be used by several goroutines at the same time.
type Learner struct {
	options Options
	oracle  *oracle

	nodes, agents, needs numbers
	needed               [][]Element // by the number of a set
	needsOf              map[int]int // how many sets the writes of a node need
	cases                map[caseKey]*caseOf
	order                []*caseOf
	times                []moment
	refused              map[refusedKey]*refused
	tallies              map[replay.Completeness]*tally // of the writes that are no cases, by what they assume
}

// caseKey is what writes have in common that count together.
type caseKey struct {
	needs, node, agent int
	assumes            replay.Completeness
}

// caseOf are equal writes of a node.
type caseOf struct {
	caseKey

	number      int
	writes      int
	first, last time.Time
}

// moment is the time of a write.
type moment struct {
	at time.Time
	of int // the number of a case
}

// refusedKey is what writes have in common with violations that no element allows, and that count together.
type refusedKey struct {
	rule policy.RuleID
	caseKey
}

// refused are such writes.
type refused struct {
	caseOf

	example string // the violation in the first of them
}

// tally are numbers of writes that the base would deny.
type tally struct {
	unlearned int // beyond the bounds
	unallowed int // with a violation that no element allows
	undecided int // with rules that have no verdict
}

func (t *tally) sum() int { return t.unlearned + t.unallowed + t.undecided }

func (l *Learner) tally(of caseKey) *tally {
	if l.tallies[of.assumes] == nil {
		l.tallies[of.assumes] = &tally{}
	}
	return l.tallies[of.assumes]
}

// NewLearner returns a learner that widens a policy, which is valid.
func NewLearner(base *v1alpha1.NodeRestrictionPolicy, options Options) (*Learner, error) {
	oracle, err := newOracle(&base.Spec)
	if err != nil {
		return nil, err
	}
	return &Learner{
		options: options, oracle: oracle, nodes: numbers{}, agents: numbers{}, needs: numbers{},
		needsOf: map[int]int{}, cases: map[caseKey]*caseOf{},
		tallies: map[replay.Completeness]*tally{}, refused: map[refusedKey]*refused{},
	}, nil
}

// numbers are those of texts, from 0.
type numbers map[string]int

// of returns the number of a text, and false if there are too many.
func (n numbers) of(s string, limit int) (int, bool) {
	number, known := n[s]
	if !known {
		if number = len(n); number == limit {
			return 0, false
		}
		n[s] = number
	}
	return number, true
}

// names returns the texts by their numbers.
func (n numbers) names() []string {
	names := make([]string, len(n))
	for name, number := range n {
		names[number] = name
	}
	return names
}

// Add learns from a write. A write with a violation that no element allows teaches nothing, nor does one on which some rules have no
// verdict, unless everything is taken in.
func (l *Learner) Add(w *Write) {
	node, ok := l.nodes.of(text.Cut(w.Node, maxName), maxNodes)
	if !ok {
		l.tally(caseKey{assumes: w.Assumes}).unlearned++
		return
	}
	agent, ok := l.agents.of(programOf(w.UserAgent), maxAgents)
	if !ok {
		agent = otherAgents
	}
	key := caseKey{node: node, agent: agent, assumes: w.Assumes}
	if l.needsOf[node] == maxNeeds {
		l.tally(key).unlearned++
		return
	}
	var needed []Element
	learnable := true
	for i := range w.Violations {
		v := &w.Violations[i]
		elements, ok := l.oracle.needs(v.Rule, v.Request)
		if !ok {
			learnable = false
			l.refuse(v, key, w.Time)
		}
		needed = append(needed, elements...)
	}
	switch {
	case !learnable:
		l.tally(key).unallowed++
	case w.Undecided && !l.options.All:
		l.tally(key).undecided++
	default:
		l.count(sorted(needed), key, w.Time)
	}
}

// otherAgents is the number of all programs beyond the first ones.
const otherAgents = maxAgents

// programOf returns the program of a user agent, such as kubelet.
func programOf(userAgent string) string {
	if i := strings.IndexAny(userAgent, "/ "); i >= 0 {
		userAgent = userAgent[:i]
	}
	return cmp.Or(text.Cut(userAgent, maxName), "an unnamed program")
}

// refuse counts a write with a violation that no element allows.
func (l *Learner) refuse(v *Violation, of caseKey, at time.Time) {
	key := refusedKey{v.Rule, of}
	r := l.refused[key]
	if r == nil {
		r = &refused{caseOf{caseKey: of, number: len(l.refused), first: at, last: at}, v.Detail}
		l.refused[key] = r
	}
	if at.Before(r.first) || at.Equal(r.first) && v.Detail < r.example {
		r.example = v.Detail
	}
	r.add(1, at, at)
}

// count counts a write that needs elements.
func (l *Learner) count(elements []Element, key caseKey, at time.Time) {
	needs, _ := l.needs.of(signatureOf(elements), maxNodes*maxNeeds)
	if needs == len(l.needed) {
		l.needed = append(l.needed, elements)
	}
	key.needs = needs
	c := l.cases[key]
	if c == nil {
		l.needsOf[key.node]++
		c = &caseOf{caseKey: key, number: len(l.order), first: at, last: at}
		l.cases[key] = c
		l.order = append(l.order, c)
	}
	c.add(1, at, at)
	if len(l.times) < maxTimes {
		l.times = append(l.times, moment{at, c.number})
	}
}

// add counts writes between two times.
func (c *caseOf) add(writes int, first, last time.Time) {
	c.writes += writes
	if first.Before(c.first) {
		c.first = first
	}
	if last.After(c.last) {
		c.last = last
	}
}
