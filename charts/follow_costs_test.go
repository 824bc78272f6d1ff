// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	celconfig "k8s.io/apiserver/pkg/apis/cel"

	composing "noderestriction.plus/internal/conditions"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

// followed returns the webhooks with the conditions of these presets, as the program composes them if they deny.
func followed(t testing.TB, presets ...string) []admissionregistrationv1.ValidatingWebhook {
	t.Helper()
	r := render(t, following()...)
	var inForce []composing.Policy
	for _, name := range presets {
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
	return webhooks
}

// TestFollowedLinesAreWithinTheBudget evaluates the conditions of both presets that deny, as the program composes them, for the largest
// writes within their bounds, and for writes with a drawn part as large: no condition ends in an error, none costs more than half of
// what an API server allows for a single one, and one webhook is called at most.
func TestFollowedLinesAreWithinTheBudget(t *testing.T) {
	c := newCallerOf(t, followed(t, "recommended", "strict"))
	draw := rand.New(rand.NewPCG(7, 8))
	for _, write := range fullWrites(2) {
		writes := []policy.Request{write}
		for range 32 {
			writes = append(writes, drawn(t, draw, write))
		}
		t.Run(fmt.Sprintf("%s %s %s", write.Operation, write.Resource, write.Subresource), func(t *testing.T) {
			var most int64
			for i, r := range writes {
				attributes := c.attributes(kubelet, r)
				if called, failed := c.match(attributes); len(failed) > 0 || len(called) > 1 || i == 0 && len(called) != 1 {
					t.Errorf("called are %v, failed %v", called, failed)
				}
				for webhook, cost := range c.costs(attributes) {
					most = max(most, cost)
					if cost > celconfig.PerCallLimit/2 {
						t.Errorf("%s costs %d of %d", webhook, cost, celconfig.PerCallLimit)
					}
				}
			}
			t.Logf("the conditions of a webhook cost at most %d", most)
		})
	}
}

// drawn returns a write in which each field of the objects is drawn: it changes or not, in one element or in all, or one of the objects does
// not have it, or none.
func drawn(t *testing.T, draw *rand.Rand, r policy.Request) policy.Request {
	t.Helper()
	var old, updated map[string]map[string]any
	if err := errors.Join(unmarshalSections(r.OldObject, &old), unmarshalSections(r.Object, &updated)); err != nil {
		t.Fatal(err)
	}
	for section, fields := range updated {
		for field := range fields {
			// An API server validates an object before it evaluates match conditions: no pod is without containers, and no name changes.
			if field == "name" || field == "containers" {
				continue
			}
			switch draw.IntN(6) {
			case 0:
				copyField(old, updated, section, field)
			case 1:
				delete(fields, field)
			case 2:
				delete(old[section], field)
			case 3:
				delete(fields, field)
				delete(old[section], field)
			case 4:
				list, _ := fields[field].([]any)
				before, _ := old[section][field].([]any)
				if len(list) > 0 && len(list) == len(before) {
					fields[field] = append(slices.Clone(before[:len(before)-1]), list[len(list)-1])
				}
			}
		}
	}
	if len(r.OldObject) > 0 {
		r.OldObject = mustMarshal(old)
	}
	if len(r.Object) > 0 {
		r.Object = mustMarshal(updated)
	}
	return r
}

// unmarshalSections reads the sections of an object, if there is one.
func unmarshalSections(object []byte, into *map[string]map[string]any) error {
	*into = map[string]map[string]any{}
	if len(object) == 0 {
		return nil
	}
	return json.Unmarshal(object, into)
}

// copyField gives the new object the value of the stored one.
func copyField(old, updated map[string]map[string]any, section, field string) {
	if value, has := old[section][field]; has {
		updated[section][field] = value
	}
}
