// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package learn

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Evidence says which writes need something.
type Evidence struct {
	Nodes  int       `json:"nodes"`
	Node   string    `json:"node,omitempty"` // the node, if it is only one
	Writes int       `json:"writes"`
	First  time.Time `json:"first"`
	Last   time.Time `json:"last"`
	Agents []string  `json:"agents"` // the programs that have written
}

// Line is what a policy is given, or what is left out for review.
type Line struct {
	Element
	Evidence

	// Keys is how many elements were generalized to this one.
	Keys int `json:"keys"`
	// Review is why the line is left out. Empty: it is in the policy.
	Review string `json:"review,omitempty"`

	from evidences
}

// evidence are the writes that need an element.
type evidence struct {
	Element

	cases []*caseOf
	first time.Time // of the writes
}

// evidences are those of different elements.
type evidences []*evidence

// lesson is what writes of a time teach.
type lesson struct {
	options       Options
	nodes, agents []string // by number
	known         []bool   // agents whose writes count
	base          draft
	field         *fieldSpec
}

// evidencesOf returns the evidence for each element that cases need, in the order of the elements.
func evidencesOf(cases []*caseOf, needed [][]Element) evidences {
	by := map[Element]*evidence{}
	for _, c := range cases {
		for _, e := range needed[c.needs] {
			if by[e] == nil {
				by[e] = &evidence{Element: e, first: c.first}
			}
			by[e].cases = append(by[e].cases, c)
			if c.first.Before(by[e].first) {
				by[e].first = c.first
			}
		}
	}
	all := slices.Collect(maps.Values(by))
	slices.SortFunc(all, func(a, b *evidence) int { return compareElements(a.Element, b.Element) })
	return all
}

// nodesOf returns the nodes on which a program needs one of the elements.
func (es evidences) nodesOf(program func(agent int) bool) map[int]bool {
	nodes := map[int]bool{}
	for _, e := range es {
		for _, c := range e.cases {
			if program(c.agent) {
				nodes[c.node] = true
			}
		}
	}
	return nodes
}

// suffices reports whether elements may be taken in.
func (l *lesson) suffices(es ...*evidence) bool {
	return l.options.All || len(evidences(es).nodesOf(l.counts)) >= l.options.MinNodes
}

// stockKubelet is the program of kubelets that are not part of another one.
const stockKubelet = "kubelet"

// counts reports whether the writes of a program count for the field.
func (l *lesson) counts(agent int) bool {
	return l.known[agent] && (l.field.foreign == nil || l.agents[agent] != stockKubelet || !l.field.foreign(l.base))
}

// eachSuffices reports whether each of the elements may be taken in alone. If one may not, a generalization must not include it.
func (l *lesson) eachSuffices(es evidences) bool {
	return !slices.ContainsFunc(es, func(e *evidence) bool { return !l.suffices(e) })
}

// line returns a line for an element with the evidence of several.
func (l *lesson) line(of Element, from ...*evidence) Line {
	line := Line{Element: of, from: from}
	if !l.suffices(from...) {
		line.Review = l.doubt(from)
	}
	line.Evidence = l.evidence(from)
	line.Keys = len(from)
	return line
}

// doubt says why elements are left out.
func (l *lesson) doubt(es evidences) string {
	switch {
	case len(es.nodesOf(l.counts)) > 0:
		return "on fewer than " + count(l.options.MinNodes, "node")
	case len(es.nodesOf(func(agent int) bool { return l.known[agent] })) > 0:
		return "no stock kubelet does this"
	}
	return "--agents does not name the program"
}

// evidence adds the evidence of several elements. A write that needs several of them counts once.
func (l *lesson) evidence(es evidences) Evidence {
	cases := map[int]*caseOf{}
	for _, e := range es {
		for _, c := range e.cases {
			cases[c.number] = c
		}
	}
	return l.evidenceOf(slices.Collect(maps.Values(cases)))
}

func (l *lesson) evidenceOf(cases []*caseOf) Evidence {
	nodes, agents := map[int]bool{}, map[int]bool{}
	sum := Evidence{First: cases[0].first, Last: cases[0].last, Agents: []string{}}
	for _, c := range cases {
		nodes[c.node], agents[c.agent] = true, true
		sum.Writes += c.writes
		if c.first.Before(sum.First) {
			sum.First = c.first
		}
		if c.last.After(sum.Last) {
			sum.Last = c.last
		}
	}
	sum.Nodes, sum.Node = len(nodes), l.nodes[cases[0].node]
	if len(nodes) > 1 {
		sum.Node = ""
	}
	for agent := range agents {
		sum.Agents = append(sum.Agents, l.agents[agent])
	}
	slices.Sort(sum.Agents)
	return sum
}

// teach returns the lines for the elements that writes need: in the order of the fields, and in each those of most nodes first.
func (l *lesson) teach(all evidences) []Line {
	var lines []Line
	for _, f := range fieldSpecs() {
		l.field = &f
		of := slices.DeleteFunc(slices.Clone(all), func(e *evidence) bool { return e.Field != f.path })
		lines = append(lines, l.linesOf(of)...)
	}
	return lines
}

// maxLines is how many lines of a field are kept, also for review.
const maxLines = 1024

// linesOf returns the lines of a field.
func (l *lesson) linesOf(es evidences) []Line {
	if len(es) == 0 {
		return nil
	}
	generalize := l.field.generalize
	if generalize == nil {
		generalize = each
	}
	lines := generalize(es, l)
	mostNodes := func(a, b Line) int {
		return cmp.Or(cmp.Compare(b.Nodes, a.Nodes), compareElements(a.Element, b.Element))
	}
	slices.SortStableFunc(lines, mostNodes)
	lines = l.absorb(lines[:min(len(lines), maxLines)])
	slices.SortStableFunc(lines, mostNodes)
	l.limit(lines)
	return lines
}

// absorb removes lines that other lines in the policy cover, and adds their evidence to these.
func (l *lesson) absorb(lines []Line) []Line {
	coverOf := func(line *Line, by func(i int) bool) int {
		for i := range lines {
			other := &lines[i]
			if other.Review == "" && isGeneral(l.field, other.Element) && other.Element != line.Element && by(i) &&
				!slices.ContainsFunc(line.from, func(e *evidence) bool { return !covers(l.field, other.Element, e.Element) }) {
				return i
			}
		}
		return -1
	}
	covered := make([]bool, len(lines))
	for i := range lines {
		covered[i] = coverOf(&lines[i], func(int) bool { return true }) >= 0
	}
	for i := range lines {
		if covered[i] {
			at := coverOf(&lines[i], func(i int) bool { return !covered[i] })
			lines[at].from = slices.Concat(lines[at].from, lines[i].from)
		}
	}
	var kept []Line
	for i := range lines {
		if !covered[i] {
			kept = append(kept, l.merged(lines[i]))
		}
	}
	return kept
}

// merged returns a line with the evidence of all that it stands for.
func (l *lesson) merged(line Line) Line {
	line.Evidence, line.Keys = l.evidence(line.from), len(line.from)
	return line
}

// limit leaves out the lines for which the field has no room.
func (l *lesson) limit(lines []Line) {
	if l.field.limit == 0 {
		return
	}
	room := l.field.limit - len(l.field.initial)
	switch has := l.base.get(l.field.path).(type) {
	case []any:
		room = l.field.limit - len(has)
	case map[string]any:
		room = l.field.limit - len(has)
	}
	for i := range lines {
		switch {
		case lines[i].Review != "":
		case room == 0:
			lines[i].Review = "the policy has no room for more"
		default:
			room--
		}
	}
}
