// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"strings"
	"testing"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/replay"
	"noderestriction.plus/policy"
)

func TestAVerdictChangesOnlyIfItIsCertain(t *testing.T) {
	for name, test := range map[string]struct {
		unchanged, old, updated verdict
		want                    Writes
	}{
		"allowed before and after":                 {allowed, allowed, allowed, Writes{}},
		"denied before and after":                  {allowed, denied, denied, Writes{}},
		"newly denied":                             {allowed, allowed, denied, Writes{NewlyDenied: 1}},
		"no longer denied":                         {allowed, denied, allowed, Writes{NewlyAllowed: 1}},
		"denied anyway":                            {denied, allowed, denied, Writes{}},
		"denied anyway, whatever the new one says": {denied, allowed, unknown, Writes{}},
		"perhaps denied before":                    {allowed, unknown, denied, Writes{Unknown: 1}},
		"perhaps denied after":                     {allowed, allowed, unknown, Writes{Unknown: 1}},
		"perhaps denied before and after":          {allowed, unknown, unknown, Writes{Unknown: 1}},
		"perhaps denied anyway":                    {unknown, allowed, denied, Writes{Unknown: 1}},
		"perhaps denied anyway, and no change":     {unknown, denied, denied, Writes{}},
	} {
		t.Run(name, func(t *testing.T) {
			got := Writes{}
			got.add(&replay.Write{}, &verdicts{test.unchanged, test.old, test.updated, &WriteItem{}})
			if got.NewlyDenied != test.want.NewlyDenied || got.NewlyAllowed != test.want.NewlyAllowed || got.Unknown != test.want.Unknown {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestWhatOthersWroteIsBoundedInAReport(t *testing.T) {
	p := &v1alpha1.NodeRestrictionPolicy{Spec: *parse(t, `{validationActions: [Deny], nodes: {self: {}}}`)}
	c := newComparer([]pair{{nil, p}})
	hostile := strings.Repeat("\x1b", 10_000)
	write := &replay.Write{UserAgent: hostile, Request: policy.Request{NodeName: hostile, Write: policy.Write{Name: hostile, Resource: hostile}}}
	write.Violations = []replay.Violation{{PolicyViolation: policy.PolicyViolation{
		Policy: c.policies[0].Name, Rule: "node-self", Violation: policy.Violation{Detail: hostile},
	}}}
	for range maxItems + 5 {
		if err := c.add(write); err != nil {
			t.Fatal(err)
		}
	}
	got := c.by[replay.Whole]
	if got.NewlyDenied != maxItems+5 || len(got.Items) != maxItems || got.MoreItems != 5 {
		t.Errorf("%d denied, %d listed and %d more", got.NewlyDenied, len(got.Items), got.MoreItems)
	}
	i := got.Items[0]
	if all := i.UserAgent + i.Node + i.Name + i.Resource + i.Detail; len(all) > 5*maxValue || strings.Contains(all, "\x1b") {
		t.Errorf("a write takes %d bytes: %q", len(all), all)
	}
}

// A verdict of no policy, such as on an object that cannot be decoded, is the same before and after.
func TestAVerdictOfNoPolicyDoesNotChange(t *testing.T) {
	p := &v1alpha1.NodeRestrictionPolicy{Spec: *parse(t, `{validationActions: [Deny], nodes: {self: {}}}`)}
	c := newComparer([]pair{{nil, p}})
	write := &replay.Write{Violations: []replay.Violation{{PolicyViolation: policy.PolicyViolation{Rule: "unverified"}}}}
	if err := c.add(write); err != nil {
		t.Fatal(err)
	}
	if got := c.by[replay.Whole]; got.Evaluated != 1 || got.NewlyDenied+got.NewlyAllowed+got.Unknown != 0 {
		t.Errorf("got %+v", got)
	}
}
