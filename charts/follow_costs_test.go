// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"fmt"
	"testing"

	celconfig "k8s.io/apiserver/pkg/apis/cel"

	composing "noderestriction.plus/internal/conditions"
	"noderestriction.plus/policy/rules"
)

// TestFollowedLinesAreWithinTheBudget evaluates the conditions of both presets that deny, as the program composes them, for the largest
// writes within their bounds: no condition ends in an error, and none costs what an API server allows for a single one.
func TestFollowedLinesAreWithinTheBudget(t *testing.T) {
	r := render(t, following()...)
	var inForce []composing.Policy
	for _, name := range []string{"recommended", "strict"} {
		p := presetNamed(t, name)
		inForce = append(inForce, composing.Policy{Name: name, Denies: true, Rules: evaluatedBy(t, p).compiled.Rules(), Spec: &p.Spec})
	}
	composed := composing.Compose(baseOf(t, r), inForce, rules.NewCompiler().Rules())
	webhooks := r.webhooks.DeepCopy().Webhooks
	for i := range webhooks {
		if conditions, followed := composed.Webhooks[webhooks[i].Name]; followed {
			webhooks[i].MatchConditions = conditions
		}
	}
	c := newCallerOf(t, webhooks)
	for _, write := range fullWrites(2) {
		t.Run(fmt.Sprintf("%s %s %s", write.Operation, write.Resource, write.Subresource), func(t *testing.T) {
			attributes := c.attributes(kubelet, write)
			if called, failed := c.match(attributes); len(failed) > 0 || len(called) != 1 {
				t.Errorf("called are %v, failed %v", called, failed)
			}
			for webhook, cost := range c.costs(attributes) {
				t.Logf("%s costs %d", webhook, cost)
				if cost > celconfig.PerCallLimit {
					t.Errorf("%s costs %d of %d", webhook, cost, celconfig.PerCallLimit)
				}
			}
		})
	}
}
