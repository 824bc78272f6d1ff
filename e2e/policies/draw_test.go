// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
)

// drawer draws policies by the schema of the CRD: of all its fields, with values that are valid, at a bound, or wrong.
type drawer struct {
	*rand.Rand
	wrong float64 // how often a value is wrong
}

// schema is a schema as YAML has it.
type schema = map[string]any

// policy draws a policy.
func (d *drawer) policy(root schema) map[string]any {
	d.wrong = []float64{0, 0.02, 0.05, 0.1}[d.IntN(4)]
	spec := root["properties"].(schema)["spec"].(schema)
	policy := map[string]any{
		"apiVersion": "noderestriction.plus/v1alpha1", "kind": "NodeRestrictionPolicy",
		"metadata": map[string]any{"name": "drawn"}, "spec": d.object(spec),
	}
	meta := policy["metadata"].(map[string]any)
	switch {
	case !d.errs():
	case d.IntN(2) == 0:
		meta["name"] = pick(d, "", "Upper", "a_b", "-a", strings.Repeat("a", 254))
	default:
		name := pick(d, "labels", "annotations", "name", "finalizers", "lables")
		meta[name] = pick[any](d, map[string]any{"a b": "c"}, []any{"a"}, 1, "a")
	}
	if d.errs() {
		policy[pick(d, "spce", "data")] = map[string]any{}
	}
	return policy
}

// errs reports whether the next value is to be wrong.
func (d *drawer) errs() bool { return d.Float64() < d.wrong }

func pick[T any](d *drawer, values ...T) T { return values[d.IntN(len(values))] }

// value draws a value. No value is null: an API server drops a field that is null, while check calls it an error.
func (d *drawer) value(s schema) any {
	if d.errs() {
		return pick[any](d, "x", 1, -1, 1.5, true, []any{}, []any{"a"}, []any{1}, map[string]any{}, map[string]any{"a": "b"})
	}
	switch s["type"] {
	case "object":
		if of, isMap := s["additionalProperties"].(schema); isMap {
			return d.mapOf(s, of)
		}
		return d.object(s)
	case "array":
		return d.list(s)
	case "integer":
		return d.integer(s)
	case "boolean":
		return d.IntN(2) == 0
	}
	if s["x-kubernetes-int-or-string"] == true && d.IntN(2) == 0 {
		return d.IntN(100)
	}
	return d.text(s)
}

func (d *drawer) object(s schema) map[string]any {
	drawn := map[string]any{}
	properties, _ := s["properties"].(schema)
	required, _ := s["required"].([]any)
	names := make([]string, 0, len(properties))
	for name := range properties {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		must := slices.Contains(required, any(name))
		often := 0.5
		if len(names) > 8 {
			often = 0.1
		}
		if must && !d.errs() || !must && d.Float64() < often {
			drawn[name] = d.value(properties[name].(schema))
		}
	}
	if d.errs() {
		drawn[pick(d, "unknown", "allow", "ALLOWED", "a.b")] = pick[any](d, 1, "a", map[string]any{})
	}
	return drawn
}

func (d *drawer) mapOf(s, of schema) map[string]any {
	drawn := map[string]any{}
	for range d.IntN(4) {
		key := pick(d, "cpu", "memory", "nvidia.com/gpu", "operatingSystem", "architecture", "kernelVersion", "pool", "example.com/a")
		drawn[key] = d.value(of)
	}
	if most, bounded := s["maxProperties"].(float64); bounded && d.errs() {
		for i := range int(most) + 1 {
			drawn[fmt.Sprint("k", i)] = d.value(of)
		}
	}
	return drawn
}

func (d *drawer) list(s schema) []any {
	items, n := s["items"].(schema), d.IntN(4)
	if least, bounded := s["minItems"].(float64); bounded && !d.errs() {
		n = max(n, int(least))
	}
	if most, bounded := s["maxItems"].(float64); bounded && d.errs() {
		n = int(most) + d.IntN(2)
	}
	drawn := []any{}
	for range n {
		value := d.value(items)
		if !d.errs() && slices.ContainsFunc(drawn, func(other any) bool { return fmt.Sprint(other) == fmt.Sprint(value) }) {
			continue // a set has no item twice
		}
		drawn = append(drawn, value)
	}
	return drawn
}

func (d *drawer) integer(s schema) any {
	least, hasLeast := s["minimum"].(float64)
	most, hasMost := s["maximum"].(float64)
	if !hasLeast {
		least = -5
	}
	if !hasMost {
		most = least + 1000
	}
	if d.errs() {
		return pick[any](d, int64(least)-1, int64(most)+1, int64(1)<<40, 1e30, least+0.5, -1)
	}
	return pick[any](d, int64(least), int64(most), int64(least)+d.Int64N(max(1, int64(most-least))))
}

// text draws a text that matches the pattern and has a length within the bounds, if it is not to be wrong.
func (d *drawer) text(s schema) string {
	if values, isEnum := s["enum"].([]any); isEnum {
		if d.errs() {
			return pick(d, "", "Never", strings.ToLower(values[0].(string)))
		}
		return pick(d, values...).(string)
	}
	samples := []string{
		"*", "a", "a*", "example.com/*", "example.com/a", "node-1", "kube-system", "kube-system/*", "16", "64Gi", "1.5", "100m", "/var/lib", "/",
		"linux", "Ready", "True", "10.0.0.0/8", "fd00::/8", "192.168.1.1/32", "a,b", "NodePodCIDRs", "https://example.com", "system:ovn-node:", "agents:",
		"spec.nodeName", "status.a.b", "resourceslices", "resource.k8s.io",
	}
	if d.errs() {
		samples = []string{
			"", " ", "a b", "é", "\n", "10.0.0.1", "10.0.0.0/33", "::/129", "10.0.0.1/8", "fe80::1%eth0/64", "010.0.0.0/8", "1e3", "-1", "+1",
			"1.", "1ki", "a/b/c", "system:node:", "system:serviceaccount:a:", "system:", "spec..nodeName", "ResourceSlices",
			strings.Repeat("a", 318), strings.Repeat("é", 317), strings.Repeat("1", 21), "::ffff:10.0.0.0/104",
		}
		return pick(d, samples...)
	}
	expression, _ := s["pattern"].(string)
	matching, most := regexp.MustCompile(expression), 1<<20
	if bound, bounded := s["maxLength"].(float64); bounded {
		most = int(bound)
	}
	isCIDR := strings.Contains(fmt.Sprint(s["x-kubernetes-validations"]), "isCIDR")
	samples = slices.DeleteFunc(samples, func(sample string) bool {
		return !matching.MatchString(sample) || len(sample) > most ||
			isCIDR && (!strings.Contains(sample, "/") || !strings.ContainsAny(sample[:1], "f1"))
	})
	return pick(d, samples...)
}
