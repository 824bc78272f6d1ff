// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package recordlog_test

import (
	"strings"
	"testing"
	"time"

	"noderestriction.plus/internal/record"
	"noderestriction.plus/internal/recordlog"
	"noderestriction.plus/policy"
)

func is(want string) func(string) bool { return func(s string) bool { return s == want } }

func TestFilter(t *testing.T) {
	two := strings.Replace(full(1), `"violations":[`, `"violations":[{"policy":"strict","rule":"node-labels"},`, 1)
	inShop := strings.Replace(full(1), `"namespace":""`, `"namespace":"shop"`, 1)
	cut := strings.Replace(compact(1), "worker-1", strings.Repeat("n", 29)+"...", 1)
	for name, test := range map[string]struct {
		log    []string // the last one is asked for
		filter recordlog.Filter
		want   recordlog.Match
		rules  string // of the violations that matter
	}{
		"nothing asked for": {[]string{two}, recordlog.Filter{}, recordlog.Yes, "node-labels node-finalizers"},
		"a policy": {
			[]string{two}, recordlog.Filter{Policy: is("strict")}, recordlog.Yes, "node-labels",
		},
		"another policy": {[]string{two}, recordlog.Filter{Policy: is("other")}, recordlog.No, ""},
		"a rule": {
			[]string{two}, recordlog.Filter{Rule: is("node-finalizers")}, recordlog.Yes, "node-finalizers",
		},
		"a rule of another policy": {
			[]string{two}, recordlog.Filter{Rule: is("node-labels"), Policy: is("recommended")}, recordlog.No, "",
		},
		"a node": {
			[]string{full(1)}, recordlog.Filter{Node: is("worker-1")}, recordlog.Yes, "node-finalizers",
		},
		"another node": {[]string{full(1)}, recordlog.Filter{Node: is("worker-2")}, recordlog.No, ""},
		"a resource": {
			[]string{full(1)}, recordlog.Filter{Resource: is("nodes/status")}, recordlog.Yes, "node-finalizers",
		},
		"another resource": {[]string{full(1)}, recordlog.Filter{Resource: is("nodes")}, recordlog.No, ""},
		"a namespace": {
			[]string{inShop}, recordlog.Filter{Namespace: is("shop")}, recordlog.Yes, "node-finalizers",
		},
		"an outcome": {
			[]string{full(1)}, recordlog.Filter{Outcomes: []policy.Outcome{policy.Denied}}, recordlog.Yes, "node-finalizers",
		},
		"another outcome": {
			[]string{full(1)}, recordlog.Filter{Outcomes: []policy.Outcome{policy.Warned}}, recordlog.No, "",
		},
		"a probe is not asked for": {
			[]string{strings.Replace(full(1), "denied", "probed", 1)}, recordlog.Filter{}, recordlog.No, "",
		},
		"a probe is asked for": {
			[]string{strings.Replace(full(1), "denied", "probed", 1)},
			recordlog.Filter{Outcomes: []policy.Outcome{record.Probed}},
			recordlog.Yes, "node-finalizers",
		},
		"from its time on": {
			[]string{full(1)}, recordlog.Filter{Since: time.Date(2026, 11, 24, 8, 0, 1, 0, time.UTC)}, recordlog.Yes, "node-finalizers",
		},
		"from later on": {
			[]string{full(1)}, recordlog.Filter{Since: time.Date(2026, 11, 24, 8, 0, 1, 1, time.UTC)}, recordlog.No, "",
		},
		"until its time": {
			[]string{full(1)}, recordlog.Filter{Until: time.Date(2026, 11, 24, 8, 0, 1, 0, time.UTC)}, recordlog.No, "",
		},

		"a rule of a compact record": {
			[]string{full(1), compact(2)}, recordlog.Filter{Rule: is("node-finalizers")}, recordlog.Yes, "node-finalizers",
		},
		"another rule than a compact record's": {
			[]string{full(1), compact(2)}, recordlog.Filter{Rule: is("node-labels")}, recordlog.No, "",
		},
		"a rule and a compact record without a full one": {
			[]string{compact(1)}, recordlog.Filter{Rule: is("node-labels")}, recordlog.Maybe, "",
		},
		"a namespace and a compact record": {
			[]string{inShop, compact(2)}, recordlog.Filter{Namespace: is("shop")}, recordlog.Maybe, "",
		},
		"a namespace and a compact record of a node": {
			[]string{full(1), compact(2)}, recordlog.Filter{Namespace: is("shop")}, recordlog.No, "",
		},
		"a namespace and a compact record of another node": {
			[]string{inShop, compact(2)}, recordlog.Filter{Namespace: is("shop"), Node: is("x")}, recordlog.No, "",
		},
		"a node and a compact record": {
			[]string{compact(1)}, recordlog.Filter{Node: is("worker-1")}, recordlog.Yes, "?",
		},
		"a node and a compact record that has half": {
			[]string{cut}, recordlog.Filter{Node: is("worker-1")}, recordlog.Maybe, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, entries := readLog(t, test.log...)
			got, violations := test.filter.Match(&entries[len(entries)-1])
			var rules []string
			for _, v := range violations {
				rules = append(rules, v.Rule)
			}
			if got != test.want || strings.Join(rules, " ") != test.rules {
				t.Errorf("got %d %v, want %d %q", got, rules, test.want, test.rules)
			}
		})
	}
}
