// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy/pattern"
)

// kind is how the elements of a list are compared.
type kind[E any] struct {
	text func(E) string
	// covers returns a function that reports whether a list has everything that an element stands for.
	covers func([]E) func(E) bool
}

// effect returns what a change does to what a list stands for.
func (k kind[E]) effect(old, updated []E) Effect {
	return effectOf(!k.coversAll(old, updated), !k.coversAll(updated, old))
}

func (k kind[E]) coversAll(whole, elements []E) bool {
	covers := k.covers(whole)
	return !slices.ContainsFunc(elements, func(e E) bool { return !covers(e) })
}

// equal are elements that stand for nothing but themselves.
func equal[E ~string]() kind[E] {
	return kind[E]{
		text:   func(e E) string { return string(e) },
		covers: func(all []E) func(E) bool { return func(e E) bool { return slices.Contains(all, e) } },
	}
}

func patterns() kind[v1alpha1.Pattern] {
	return kind[v1alpha1.Pattern]{
		text: func(p v1alpha1.Pattern) string { return string(p) },
		covers: func(all []v1alpha1.Pattern) func(v1alpha1.Pattern) bool {
			compiled, _ := pattern.CompileAll(all, len(all), nil) // the policies are valid
			return compiled.Covers
		},
	}
}

// pairs are patterns on labels or annotations. Some keys are allowed only by a pattern that does not match every key: maybeReserved reports
// whether a pattern on keys may match one of them. Nil: there are no such keys.
func pairs(maybeReserved func(key string) bool) kind[v1alpha1.KeyValuePattern] {
	return kind[v1alpha1.KeyValuePattern]{
		text: func(p v1alpha1.KeyValuePattern) string { return string(p) },
		covers: func(all []v1alpha1.KeyValuePattern) func(v1alpha1.KeyValuePattern) bool {
			compiled := compilePairs(all)
			if maybeReserved == nil {
				return compiled.Covers
			}
			named := compilePairs(slices.DeleteFunc(slices.Clone(all), func(p v1alpha1.KeyValuePattern) bool { return matchesEveryKey(keyOf(p)) }))
			return func(p v1alpha1.KeyValuePattern) bool {
				key := keyOf(p)
				return named.Covers(p) || compiled.Covers(p) && (matchesEveryKey(key) || !maybeReserved(key))
			}
		},
	}
}

// compilePairs compiles patterns, which are valid.
func compilePairs(all []v1alpha1.KeyValuePattern) pattern.KeyValues {
	compiled, _ := pattern.CompileKeyValues(all, len(all), nil)
	return compiled
}

func keyOf(p v1alpha1.KeyValuePattern) string {
	key, _, _ := strings.Cut(string(p), "=")
	return key
}

func matchesEveryKey(key string) bool { return strings.Trim(key, "*") == "" }

// maybeReservedLabel reports whether a pattern on keys may match a label that Kubernetes reserves.
func maybeReservedLabel(key string) bool {
	before, _, hasWildcard := strings.Cut(key, "*")
	domain, _, hasDomain := strings.Cut(before, "/")
	if hasWildcard && !hasDomain {
		return true
	}
	isUnder := func(parent string) bool { return domain == parent || strings.HasSuffix(domain, "."+parent) }
	return hasDomain && (isUnder("kubernetes.io") || isUnder("k8s.io"))
}

// maybeControllerLabel reports whether a pattern on keys may match a label by which controllers own their pods: these have no domain, or
// one of Kubernetes.
func maybeControllerLabel(key string) bool {
	return maybeReservedLabel(key) || !strings.Contains(key, "/")
}

// taints are patterns on taints. The taint node.kubernetes.io/out-of-service is allowed only by a pattern that does not match every key.
func taints() kind[v1alpha1.TaintPattern] {
	covers := func(q, p *v1alpha1.TaintPattern) bool {
		value := p.Value
		if value == "" {
			value = "*"
		}
		matches := func(q, p v1alpha1.Pattern) bool { return patterns().covers([]v1alpha1.Pattern{q})(p) }
		named := !matchesEveryKey(string(q.Key)) || matchesEveryKey(string(p.Key)) || !maybeReservedLabel(string(p.Key))
		return named && matches(q.Key, p.Key) && (q.Value == "" || matches(q.Value, value)) && (q.Effect == "" || q.Effect == p.Effect)
	}
	return kind[v1alpha1.TaintPattern]{
		text: func(p v1alpha1.TaintPattern) string {
			text := string(p.Key)
			if p.Value != "" {
				text += "=" + string(p.Value)
			}
			if p.Effect != "" {
				text += ":" + string(p.Effect)
			}
			return text
		},
		covers: func(all []v1alpha1.TaintPattern) func(v1alpha1.TaintPattern) bool {
			return func(p v1alpha1.TaintPattern) bool {
				return slices.ContainsFunc(all, func(q v1alpha1.TaintPattern) bool { return covers(&q, &p) })
			}
		},
	}
}

func extendedResources() kind[v1alpha1.ExtendedResource] {
	return kind[v1alpha1.ExtendedResource]{
		text: func(r v1alpha1.ExtendedResource) string {
			if r.Max == nil {
				return string(r.Name)
			}
			return fmt.Sprintf("%s, at most %d", r.Name, *r.Max)
		},
		covers: func(all []v1alpha1.ExtendedResource) func(v1alpha1.ExtendedResource) bool {
			return func(r v1alpha1.ExtendedResource) bool {
				return slices.ContainsFunc(all, func(q v1alpha1.ExtendedResource) bool {
					return patterns().covers([]v1alpha1.Pattern{q.Name})(r.Name) && (q.Max == nil || r.Max != nil && *r.Max <= *q.Max)
				})
			}
		},
	}
}

// directories contain those below them.
func directories() kind[string] {
	return kind[string]{
		text: func(s string) string { return s },
		covers: func(all []string) func(string) bool {
			return func(directory string) bool {
				return slices.ContainsFunc(all, func(parent string) bool {
					return strings.HasPrefix(slashed(directory), slashed(parent))
				})
			}
		},
	}
}

// slashed returns a directory with a slash at its end.
func slashed(directory string) string { return strings.TrimSuffix(path.Clean(directory), "/") + "/" }

// Ports that are allowed if none is listed.
func ports() kind[int32] {
	return kind[int32]{
		text: func(p int32) string { return strconv.Itoa(int(p)) },
		covers: func(all []int32) func(int32) bool {
			return func(p int32) bool { return slices.Contains(all, p) }
		},
	}
}

// usualPorts returns what an omitted list of ports stands for.
func usualPorts() []int32 {
	var all []int32
	for p := int32(1024); p <= 65535; p++ {
		if p != 2379 && p != 2380 && p != 6443 {
			all = append(all, p)
		}
	}
	return all
}

func cidrs() kind[v1alpha1.CIDR] {
	parse := func(c v1alpha1.CIDR) netip.Prefix { return netip.MustParsePrefix(string(c)).Masked() } // the policies are valid
	return kind[v1alpha1.CIDR]{
		text: func(c v1alpha1.CIDR) string { return string(c) },
		covers: func(all []v1alpha1.CIDR) func(v1alpha1.CIDR) bool {
			var whole []netip.Prefix
			for _, c := range all {
				whole = append(whole, parse(c))
			}
			return func(c v1alpha1.CIDR) bool { return containsPrefix(whole, parse(c)) }
		},
	}
}

// containsPrefix reports whether ranges together contain a range.
func containsPrefix(whole []netip.Prefix, p netip.Prefix) bool {
	overlaps := false
	for _, q := range whole {
		if q.Bits() <= p.Bits() && q.Contains(p.Addr()) {
			return true
		}
		overlaps = overlaps || q.Overlaps(p)
	}
	if !overlaps {
		return false
	}
	lower, upper := halves(p)
	return containsPrefix(whole, lower) && containsPrefix(whole, upper)
}

// halves splits a range, which is not a single address.
func halves(p netip.Prefix) (lower, upper netip.Prefix) {
	bytes := p.Addr().AsSlice()
	bytes[p.Bits()/8] |= 0x80 >> (p.Bits() % 8)
	middle, _ := netip.AddrFromSlice(bytes) // it has as many bytes as p
	return netip.PrefixFrom(p.Addr(), p.Bits()+1), netip.PrefixFrom(middle, p.Bits()+1)
}
