// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	celconfig "k8s.io/apiserver/pkg/apis/cel"

	"noderestriction.plus/internal/compile"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
)

// nestedElements is how many elements lists and maps in the elements of others get.
const nestedElements = 8

// enlargeTo returns a value in which each list and map with elements has a number of them, which differ in texts of 256 characters, and a
// mark makes each text another one.
func enlargeTo(value any, size int, mark string) any {
	switch v := value.(type) {
	case []any:
		if len(v) == 0 {
			return v
		}
		list := make([]any, size)
		for i := range list {
			list[i] = renamed(v[i%len(v)], i, mark)
		}
		return list
	case map[string]any:
		if !isOfTexts(v) {
			return v
		}
		large := map[string]any{}
		keys := slices.Sorted(maps.Keys(v))
		for i := range size {
			key := keys[i%len(keys)]
			if i >= len(keys) {
				key = longer(key, i, "")
			}
			large[key] = renamed(v[keys[i%len(keys)]], i, mark)
		}
		return large
	}
	return value
}

// isOfTexts reports whether a map has keys that its writer chooses, such as labels.
func isOfTexts(m map[string]any) bool {
	for key, value := range m {
		if _, is := value.(string); !is {
			return false
		}
		if strings.Contains(key, "/") || key == "cpu" || key == "memory" || key == "app" {
			return true
		}
	}
	return false
}

// renamed returns an element in which the texts that say what it is are other ones, and lists are enlarged.
func renamed(value any, i int, mark string) any {
	switch v := value.(type) {
	case string:
		return longer(v, i, mark)
	case map[string]any:
		other := map[string]any{}
		for key, value := range v {
			switch part := value.(type) {
			case string:
				value = part
				if slices.Contains([]string{"name", "type", "key", "value", "manager", "ip", "address", "message", "uid"}, key) {
					value = longer(part, i, mark)
				}
			default:
				value = enlargeTo(part, nestedElements, mark)
			}
			other[key] = value
		}
		return other
	}
	return value
}

// longer returns a text of 256 characters that begins with another one. An address, a time or a quantity keeps its form.
func longer(s string, i int, mark string) string {
	if _, err := netip.ParseAddr(s); err == nil {
		return netip.AddrFrom4([4]byte{10, byte(len(mark)), byte(i >> 8), byte(i)}).String()
	}
	if _, err := resource.ParseQuantity(s); err == nil {
		return fmt.Sprint(i + len(mark) + 1)
	}
	if _, err := time.Parse(time.RFC3339, s); err == nil || s == "true" || s == "false" {
		return s
	}
	text := fmt.Sprintf("%s-%d%s", s, i, mark)
	return text + strings.Repeat("x", max(0, 256-len(text)))
}

// withLargeLists returns a write with each list and map of its objects enlarged, or false if an API server would not read it.
func withLargeLists(r policy.Request, size int, old, updated bool) (policy.Request, bool) {
	for object, mark := range map[*[]byte]string{&r.OldObject: "", &r.Object: "!"} {
		if len(*object) == 0 || object == &r.OldObject && !old || object == &r.Object && !updated {
			continue
		}
		var root map[string]any
		if err := json.Unmarshal(*object, &root); err != nil {
			return r, false
		}
		for name, section := range root {
			fields, is := section.(map[string]any)
			if !is {
				root[name] = enlargeTo(section, size, mark)
				continue
			}
			for field, value := range fields {
				fields[field] = enlargeTo(value, size, mark)
			}
		}
		*object = mustMarshal(root)
	}
	return asStored(r)
}

// TestEachRuleIsWithinTheBudget draws writes near the bounds of the expressions of each rule from its fixtures, and evaluates the conditions of
// each policy of them: none costs more than half of what an API server allows.
func TestEachRuleIsWithinTheBudget(t *testing.T) {
	for _, rule := range expressibleRules() {
		t.Run(string(rule.ID), func(t *testing.T) {
			t.Parallel()
			c := newCorpus(t, rule)
			var most int64
			evaluated := 0
			for _, p := range c.policies {
				for _, v := range compile.Violations(p, []policy.Rule{rule}) {
					for _, r := range c.fixtures {
						if !isOf(r, v.Write) {
							continue
						}
						for _, size := range []int{8, 16, 32, 64, 128} {
							for _, which := range [][2]bool{{true, true}, {true, false}, {false, true}} {
								large, ok := withLargeLists(r, size, which[0], which[1])
								if !ok {
									continue
								}
								attributes := (&caller{t: t}).attributesOf(large)
								for _, e := range []string{v.Certain, v.Possible, v.Missed, v.Touched()} {
									_, cost := newCondition(t, e).evaluate(t, attributes)
									evaluated++
									most = max(most, cost)
									if cost > celconfig.PerCallLimit/2 {
										t.Fatalf("with %d elements, %s costs %d, computed as %d: %s", size, v.Write, cost, expression.Cost(e), e)
									}
								}
							}
						}
					}
				}
			}
			t.Logf("%d evaluations cost at most %d", evaluated, most)
			if evaluated == 0 {
				t.Error("no write could be enlarged")
			}
		})
	}
}
