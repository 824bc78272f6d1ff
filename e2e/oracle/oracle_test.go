// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
)

// TestVerdictsOnRandomRequests evaluates 20,000 random writes in 40 random clusters with the plugin and with the baseline.
func TestVerdictsOnRandomRequests(t *testing.T) {
	const worlds, requests = 40, 500
	set := wholeBaseline(t)
	c := newComparison()
	for seed := range uint64(worlds) {
		d := draw{rand.New(rand.NewPCG(1, seed))}
		w := d.objects()
		plugin, facts := w.plugin(t), w.facts(t)
		for range requests {
			r := d.request()
			c.compare(t, r, admit(t, plugin, r), evaluate(t, set, facts, r))
		}
	}
	c.log(t)
	// The requests are only useful if they reach the checks of the plugin.
	for _, resource := range []string{
		"nodes", "nodes/status", "pods", "pods/status", "pods/eviction", "persistentvolumeclaims/status",
		"serviceaccounts/token", "leases.coordination.k8s.io", "csinodes.storage.k8s.io",
		"resourceslices.resource.k8s.io", "certificatesigningrequests.certificates.k8s.io",
		"podcertificaterequests.certificates.k8s.io",
	} {
		if count := c.verdicts[resource]; count.allowed < 100 || count.denied < 100 {
			t.Errorf("%s: %d allowed, %d denied: too few", resource, count.allowed, count.denied)
		}
	}
	if len(c.reasons) < 60 {
		t.Errorf("the plugin refused for only %d reasons", len(c.reasons))
	}
	if c.known > 50 {
		t.Errorf("%d writes were not compared", c.known)
	}
}

// comparison counts the results of comparing verdicts.
type comparison struct {
	verdicts map[string]verdictCounts // by resource and subresource
	reasons  map[string]int           // why the plugin refused
	known    int                      // writes with intentionally different verdicts
}

type verdictCounts struct{ allowed, denied int }

func newComparison() *comparison {
	return &comparison{verdicts: map[string]verdictCounts{}, reasons: map[string]int{}}
}

// compare fails the test if the plugin and the baseline disagree unintentionally.
func (c *comparison) compare(t *testing.T, r *request, refusal error, message string) {
	t.Helper()
	if differs(r) {
		c.known++
		return
	}
	if (refusal != nil) != (message != "") {
		t.Errorf("%s\nplugin   %v\nbaseline %q", r, refusal, message)
	}
	resource := strings.TrimSuffix(r.resource.GroupResource().String()+"/"+r.subresource, "/")
	count := c.verdicts[resource]
	if refusal == nil {
		count.allowed++
	} else {
		count.denied++
		c.reasons[reason(refusal)]++
	}
	c.verdicts[resource] = count
}

func (c *comparison) log(t *testing.T) {
	t.Helper()
	for _, resource := range slices.Sorted(maps.Keys(c.verdicts)) {
		t.Logf("%5d allowed, %5d denied: %s", c.verdicts[resource].allowed, c.verdicts[resource].denied, resource)
	}
	for _, why := range slices.Sorted(maps.Keys(c.reasons)) {
		t.Logf("%5d refused: %s", c.reasons[why], why)
	}
	t.Logf("%d not compared", c.known)
}

// differs reports whether the verdicts on a write differ intentionally, as docs/baseline.md says: a user name that ends after the
// prefix is denied even without the group and for CONNECT; an update without an object, which no API server sends, is denied even
// without the group.
func differs(r *request) bool {
	inGroup := slices.Contains(r.groups, "system:nodes")
	switch {
	case r.user == "system:node:":
		return !inGroup || r.operation == admissionv1.Connect
	case r.operation == admissionv1.Delete:
		return false
	}
	return !inGroup && (r.object == nil || r.old == nil && r.operation == admissionv1.Update)
}

// reason returns a refusal without the names in it.
func reason(refusal error) string {
	text, _, _ := strings.Cut(refusal.Error(), "\n")
	for _, noise := range []struct{ pattern, with string }{
		{`labels: .*`, "labels"},
		{`(other than [^:]*):.*`, "$1"},
		{`"(\\.|[^"\\])*"|\([^)]*\)`, "_"},
		{`system:node:[^ ]*( can)?`, "_$1"},
		{`node [Ww]orker\S* +|node gone |node  can`, "node _ "},
		{`expected \S* got \S*`, "_"},
	} {
		text = regexp.MustCompile(noise.pattern).ReplaceAllString(text, noise.with)
	}
	return text
}
