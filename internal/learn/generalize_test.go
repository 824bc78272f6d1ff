// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package learn

import (
	"fmt"
	"slices"
	"testing"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/replay"
)

// seen is an element that the given nodes need.
type seen struct {
	Element

	nodes []string
}

// lessonOf returns what a field is given, and what is left for review, as the policy has it.
func lessonOf(t *testing.T, options Options, all ...seen) (learned, review []string) {
	t.Helper()
	l, err := NewLearner(&v1alpha1.NodeRestrictionPolicy{}, options)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		for _, node := range s.nodes {
			n, _ := l.nodes.of(node, maxNodes)
			agent, _ := l.agents.of("agent", maxAgents)
			l.count([]Element{s.Element}, caseKey{node: n, agent: agent}, start)
		}
	}
	result := l.Finish(Log{First: start, Last: start}, replay.Whole)
	for _, line := range result.Learned {
		learned = append(learned, fmt.Sprint(fieldOf(line.Field).of(line.Element)))
	}
	for _, line := range result.Review {
		review = append(review, fmt.Sprint(fieldOf(line.Field).of(line.Element)))
	}
	slices.Sort(learned)
	slices.Sort(review)
	return learned, review
}

func TestGeneralizations(t *testing.T) {
	both := []string{"a", "b"}
	// keys, or what a bound is, needed by nodes a and b.
	keys := func(field string, keys ...string) (all []seen) {
		for _, key := range keys {
			all = append(all, seen{Element{Field: field, Key: key}, both})
		}
		return all
	}
	hosts := func(field, format string, from, to int, nodes ...string) (all []seen) {
		for i := from; i <= to; i++ {
			all = append(all, seen{Element{Field: field, Key: fmt.Sprintf(format, i)}, nodes})
		}
		return all
	}
	bound := func(field, key string, n int64, nodes ...string) seen {
		return seen{Element{Field: field, Key: key, Max: n}, nodes}
	}
	taint := func(value string, nodes ...string) seen {
		return seen{Element{Field: taints, Key: "k", Value: value, Effect: "NoSchedule"}, nodes}
	}
	for name, test := range map[string]struct {
		seen            []seen
		learned, review []string
	}{
		"three keys of a domain are generalized":          {keys(nodeAnnotations, "d/a", "d/b", "d/c"), []string{"d/*"}, nil},
		"two are not":                                     {keys(nodeAnnotations, "d/a", "d/b"), []string{"d/a", "d/b"}, nil},
		"keys without a domain are not":                   {keys(nodeAnnotations, "a", "b", "c"), []string{"a", "b", "c"}, nil},
		"keys of Kubernetes are not":                      {keys(nodeAnnotations, "k8s.io/a", "k8s.io/b", "k8s.io/c"), []string{"k8s.io/a", "k8s.io/b", "k8s.io/c"}, nil},
		"keys of a subdomain of Kubernetes are not":       {keys(nodeAnnotations, "x.kubernetes.io/a", "x.kubernetes.io/b", "x.kubernetes.io/c"), []string{"x.kubernetes.io/a", "x.kubernetes.io/b", "x.kubernetes.io/c"}, nil},
		"a domain that only ends like it is another one":  {keys(nodeAnnotations, "notk8s.io/a", "notk8s.io/b", "notk8s.io/c"), []string{"notk8s.io/*"}, nil},
		"a key of one node keeps its domain from that":    {append(keys(nodeAnnotations, "d/a", "d/b", "d/c"), seen{Element{Field: nodeAnnotations, Key: "d/evil"}, both[:1]}), []string{"d/a", "d/b", "d/c"}, []string{"d/evil"}},
		"three values of a taint are any":                 {[]seen{taint("1", both...), taint("2", both...), taint("3", both...)}, []string{"map[effect:NoSchedule key:k]"}, nil},
		"a value of one node is left":                     {[]seen{taint("1", both...), taint("2", both...), taint("3", "a")}, []string{"map[effect:NoSchedule key:k value:1]", "map[effect:NoSchedule key:k value:2]"}, []string{"map[effect:NoSchedule key:k value:3]"}},
		"a taint without a value allows any":              {[]seen{taint("", both...), taint("1", both...)}, []string{"map[effect:NoSchedule key:k]"}, nil},
		"eight addresses are a range":                     {hosts(nodeAddresses, "192.0.2.%d", 1, 8, both...), []string{"192.0.2.0/24"}, nil},
		"seven are not":                                   {hosts(nodeAddresses, "192.0.2.%d", 1, 7, both...), []string{"192.0.2.1/32", "192.0.2.2/32", "192.0.2.3/32", "192.0.2.4/32", "192.0.2.5/32", "192.0.2.6/32", "192.0.2.7/32"}, nil},
		"eight addresses of IPv6 are a range":             {hosts(nodeAddresses, "2001:db8::%d", 1, 8, both...), []string{"2001:db8::/64"}, nil},
		"ranges of one node each are one range of both":   {append(hosts(podIPs, "10.1.1.%d", 1, 8, "a"), hosts(podIPs, "10.1.2.%d", 1, 8, "b")...), []string{"10.1.0.0/16"}, nil},
		"a range of one node alone is left":               {hosts(podIPs, "10.1.1.%d", 1, 8, "a"), nil, []string{"10.1.0.0/16"}},
		"a few addresses elsewhere stay addresses":        {append(hosts(podIPs, "10.1.1.%d", 1, 8, both...), hosts(podIPs, "10.9.9.%d", 1, 1, "a")...), []string{"10.1.1.0/24"}, []string{"10.9.9.1/32"}},
		"a bound is twice what enough nodes need":         {[]seen{bound(capacity, "cpu", 4096, both...)}, []string{"8192"}, nil},
		"more that one node needs is left":                {[]seen{bound(capacity, "cpu", 4096, both...), bound(capacity, "cpu", 1<<20, "a")}, []string{"8192"}, []string{"2097152"}},
		"a node that needs more needs less, too":          {[]seen{bound(extendedResources, "gpu", 4, "a"), bound(extendedResources, "gpu", 8, "b")}, []string{"map[max:4 name:gpu]"}, []string{"map[max:8 name:gpu]"}},
		"bounds of two resources are independent":         {[]seen{bound(capacity, "cpu", 4096, both...), bound(capacity, "memory", 1<<40, both...)}, []string{"2Ti", "8192"}, nil},
		"a bound is at most what a policy may have":       {[]seen{bound(images, "", 10_000, both...)}, []string{"10000"}, nil},
		"three paths have their deepest common directory": {keys(hostPaths, "/etc/k/pki/a", "/etc/k/pki/b", "/etc/k/pki/c/d"), []string{"/etc/k/pki"}, nil},
		"two paths are exact":                             {keys(hostPaths, "/etc/k/a", "/etc/k/b"), []string{"/etc/k/a", "/etc/k/b"}, nil},
		"a path covers those below it":                    {keys(hostPaths, "/etc/k", "/etc/k/b"), []string{"/etc/k"}, nil},
		"the first segment is never enough":               {keys(hostPaths, "/etc/a/x", "/etc/b/x", "/etc/c/x", "/opt"), []string{"/etc/a/x", "/etc/b/x", "/etc/c/x", "/opt"}, nil},
		"uncordoning includes cordoning":                  {append(keys(unschedulable, "Cordon"), keys(unschedulable, "Any")...), []string{"Any"}, nil},
		"uncordoning by one node is left":                 {append(keys(unschedulable, "Cordon"), seen{Element{Field: unschedulable, Key: "Any"}, both[:1]}), []string{"Cordon"}, []string{"Any"}},
		"conditions are exact":                            {keys(nodeConditions, "a.b/A", "a.b/B", "a.b/C"), []string{"a.b/A", "a.b/B", "a.b/C"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			learned, review := lessonOf(t, Options{MinNodes: 2, Agents: []string{"agent"}}, test.seen...)
			if !slices.Equal(learned, test.learned) || !slices.Equal(review, test.review) {
				t.Errorf("learned %q, want %q; for review %q, want %q", learned, test.learned, review, test.review)
			}
		})
	}
}

// TestManyRanges has more full ranges than are learned.
func TestManyRanges(t *testing.T) {
	var all []seen
	for i := range maxRanges + 2 {
		for host := range fullRange {
			all = append(all, seen{Element{Field: nodeAddresses, Key: fmt.Sprintf("10.%d.0.%d", i, host+1)}, []string{"a", "b"}})
		}
	}
	learned, review := lessonOf(t, Options{MinNodes: 2, Agents: []string{"agent"}}, all...)
	if len(learned) != maxRanges || len(review) != 2 {
		t.Errorf("learned %q, for review %q", learned, review)
	}
}

// TestTheListIsFull has more keys than a policy may have.
func TestTheListIsFull(t *testing.T) {
	var all []seen
	limit := fieldOf(nodeConditions).limit
	for i := range limit + 1 {
		nodes := []string{"a", "b"}
		if i == limit {
			nodes = append(nodes, "c")
		}
		all = append(all, seen{Element{Field: nodeConditions, Key: fmt.Sprintf("Condition%03d", i)}, nodes})
	}
	learned, review := lessonOf(t, Options{MinNodes: 2, Agents: []string{"agent"}}, all...)
	if len(learned) != limit || !slices.Contains(learned, fmt.Sprintf("Condition%03d", limit)) || len(review) != 1 {
		t.Errorf("learned %d, for review %q", len(learned), review)
	}
}
