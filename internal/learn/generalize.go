// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package learn

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// several is how many elements make a generalization.
const several = 3

// grouping returns the evidences by what they have in common, in the order of the keys.
func grouping[K cmp.Ordered](es evidences, key func(*evidence) K) []evidences {
	by := map[K]evidences{}
	for _, e := range es {
		by[key(e)] = append(by[key(e)], e)
	}
	var groups []evidences
	for _, k := range slices.Sorted(maps.Keys(by)) {
		groups = append(groups, by[k])
	}
	return groups
}

// each returns a line for each element.
func each(es evidences, l *lesson) []Line {
	var lines []Line
	for _, e := range es {
		lines = append(lines, l.line(e.Element, e))
	}
	return lines
}

// byDomain makes domain/* of several keys of a domain, unless it is one of Kubernetes, or one of the keys is left for review.
func byDomain(es evidences, l *lesson) []Line {
	var lines []Line
	for _, group := range grouping(es, func(e *evidence) string { return domainOf(e.Key) }) {
		domain := domainOf(group[0].Key)
		if domain == "" || isOfKubernetes(domain) || len(group) < several || !l.eachSuffices(group) {
			lines = append(lines, each(group, l)...)
			continue
		}
		lines = append(lines, l.line(Element{Field: l.field.path, Key: domain + "/*"}, group...))
	}
	return lines
}

// domainOf returns the domain of a label or an annotation, which may be empty.
func domainOf(key string) string {
	domain, _, found := strings.Cut(key, "/")
	if !found {
		return ""
	}
	return domain
}

func isOfKubernetes(domain string) bool {
	for _, reserved := range []string{"kubernetes.io", "k8s.io"} {
		if domain == reserved || strings.HasSuffix(domain, "."+reserved) {
			return true
		}
	}
	return false
}

// byTaint allows any value of a taint if several were seen, unless one of them is left for review.
func byTaint(es evidences, l *lesson) []Line {
	var lines []Line
	for _, group := range grouping(es, func(e *evidence) string { return e.Key + "\n" + e.Effect }) {
		if len(group) < several || !l.eachSuffices(group) {
			lines = append(lines, each(group, l)...)
			continue
		}
		lines = append(lines, l.line(Element{Field: taints, Key: group[0].Key, Effect: group[0].Effect}, group...))
	}
	return lines
}

// byBound takes the greatest bound that enough nodes need, and leaves greater ones for review.
func byBound(es evidences, l *lesson) []Line {
	var lines []Line
	line := func(group evidences) {
		of := group[0].Element
		if l.field.headroom != 0 {
			of.Max = min(of.Max, l.field.headroom/2) * 2
		}
		lines = append(lines, l.line(of, group...))
	}
	for _, group := range grouping(es, func(e *evidence) string { return e.withoutBound().signature() }) {
		slices.SortFunc(group, func(a, b *evidence) int { return cmp.Compare(b.Max, a.Max) })
		// A node that needs more needs this, too.
		enough := slices.IndexFunc(group, func(e *evidence) bool {
			return l.suffices(slices.DeleteFunc(slices.Clone(group), func(other *evidence) bool { return other.Max < e.Max })...)
		})
		if enough < 0 {
			enough = len(group)
		}
		for i := range group[:enough] {
			line(group[i : i+1])
		}
		if enough < len(group) {
			line(group[enough:])
			lines[len(lines)-1].Review = ""
		}
	}
	return lines
}

// byChoice takes the widest choice that enough nodes need.
func byChoice(es evidences, l *lesson) []Line {
	widest := slices.IndexFunc(es, func(e *evidence) bool { return e.Key == strongest })
	if widest >= 0 && l.suffices(es[widest]) {
		return []Line{l.line(es[widest].Element, es...)}
	}
	return each(es, l)
}

const (
	// fullRange is how many addresses make a range.
	fullRange = 8
	// maxRanges is how many ranges and addresses are learned for a field.
	maxRanges = 8
)

// byRange makes ranges of addresses: /24, or /64 for IPv6, if it has several addresses, and /16 or /48 for such ranges if one of them is of
// too few nodes, or there are too many.
func byRange(es evidences, l *lesson) []Line {
	var full, few evidences
	for _, group := range grouping(es, func(e *evidence) string { return rangeOf(e.Key, 24, 64) }) {
		if len(group) < fullRange {
			few = append(few, group...)
			continue
		}
		full = append(full, group...)
	}
	ranges := func(bits4, bits6 int) (lines []Line) {
		for _, group := range grouping(full, func(e *evidence) string { return rangeOf(e.Key, bits4, bits6) }) {
			lines = append(lines, l.line(Element{Field: l.field.path, Key: rangeOf(group[0].Key, bits4, bits6)}, group...))
		}
		return lines
	}
	lines := ranges(24, 64)
	inReview := func(line Line) bool { return line.Review != "" }
	if slices.ContainsFunc(lines, inReview) || len(lines) > maxRanges {
		lines = ranges(16, 48)
	}
	lines = append(lines, each(few, l)...)
	room := maxRanges
	for i := range lines {
		switch {
		case inReview(lines[i]):
		case room == 0 && !l.options.All:
			lines[i].Review = "there are more than " + count(maxRanges, "range")
		default:
			room--
		}
	}
	return lines
}

// rangeOf returns the range of an address with a number of bits, by its family.
func rangeOf(address string, bits4, bits6 int) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	bits := bits6
	if ip.Is4() {
		bits = bits4
	}
	return netip.PrefixFrom(ip, bits).Masked().String()
}

// byDirectory takes the deepest common directory of several paths that begin with the same two segments, unless one of them is left for
// review.
func byDirectory(es evidences, l *lesson) []Line {
	var lines []Line
	for _, group := range grouping(es, func(e *evidence) string { return topOf(e.Key) }) {
		if len(group) < several || topOf(group[0].Key) == "" || !l.eachSuffices(group) {
			lines = append(lines, each(group, l)...)
			continue
		}
		lines = append(lines, l.line(Element{Field: hostPaths, Key: commonDirectory(group)}, group...))
	}
	return lines
}

// topOf returns the first two segments of a path, and an empty text if it has only one.
func topOf(path string) string {
	segments := strings.Split(path, "/")
	if len(segments) < several {
		return ""
	}
	return strings.Join(segments[:several], "/")
}

func commonDirectory(es evidences) string {
	common := strings.Split(es[0].Key, "/")
	for _, e := range es[1:] {
		segments := strings.Split(e.Key, "/")
		n := 0
		for n < len(common) && n < len(segments) && common[n] == segments[n] {
			n++
		}
		common = common[:n]
	}
	return strings.Join(common, "/")
}

// isGeneral reports whether an element of a field may cover others.
func isGeneral(f *fieldSpec, e Element) bool {
	return f.shape != list || f.path == extendedResources || f.path == hostPaths || f.path == taints && e.Value == "" ||
		strings.HasSuffix(e.Key, "*") || strings.Contains(e.Key, "/") && f.value != nil
}

// coverage finds out which elements a policy with lines has.
type coverage struct {
	fields  map[string]*fieldSpec
	exact   map[Element]bool
	general map[string][]Element // by field
}

func newCoverage(fields map[string]*fieldSpec, lines []Line) *coverage {
	c := &coverage{fields, map[Element]bool{}, map[string][]Element{}}
	for i := range lines {
		switch e := lines[i].Element; {
		case lines[i].Review != "":
		case isGeneral(fields[e.Field], e):
			c.general[e.Field] = append(c.general[e.Field], e)
		default:
			c.exact[e] = true
		}
	}
	return c
}

func (c *coverage) has(e Element) bool {
	return c.exact[e] || slices.ContainsFunc(c.general[e.Field], func(general Element) bool { return covers(c.fields[e.Field], general, e) })
}

// covers reports whether a policy with an element of a field allows what another element does.
func covers(f *fieldSpec, general, e Element) bool {
	switch {
	case general.Field != e.Field:
		return false
	case f.shape == bound, f.shape == bounds, f.path == extendedResources:
		return general.withoutBound() == e.withoutBound() && general.Max >= e.Max
	case f.shape == choice:
		return general.Key == e.Key || general.Key == strongest
	case f.path == taints:
		return general.Key == e.Key && general.Effect == e.Effect && (general.Value == "" || general.Value == e.Value)
	case f.path == hostPaths:
		return strings.HasPrefix(e.Key+"/", general.Key+"/")
	}
	if prefix, err := netip.ParsePrefix(general.Key); err == nil {
		ip, err := netip.ParseAddr(e.Key)
		return err == nil && prefix.Contains(ip)
	}
	if domain, is := strings.CutSuffix(general.Key, "*"); is {
		return strings.HasPrefix(e.Key, domain)
	}
	return general.Key == e.Key
}
