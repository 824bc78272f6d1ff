// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package denial

import (
	"sync"

	admissionv1 "k8s.io/api/admission/v1"

	"noderestriction.plus/internal/program"
	"noderestriction.plus/policy"
)

// other is the label value for everything outside a closed set.
const other = program.OtherLabel

// labelValues are the values that labels may have. Any other value becomes other.
type labelValues struct {
	writes map[write]map[string]bool // the operations by write: those that a rule checks; immutable
	rules  map[string]bool           // immutable

	mu       sync.Mutex
	policies map[string]bool // the first 100 that were expected or violated
}

// write is a kind of write.
type write struct{ resource, subresource string }

func newLabelValues(rules []policy.Rule) *labelValues {
	v := &labelValues{
		writes: map[write]map[string]bool{{resource: other}: {
			string(admissionv1.Create): true, string(admissionv1.Update): true, string(admissionv1.Delete): true,
		}},
		rules:    map[string]bool{string(policy.Unverified): true, string(policy.WithoutNode): true},
		policies: map[string]bool{"": true},
	}
	for _, rule := range rules {
		v.rules[string(rule.ID)] = true
		for _, t := range rule.Targets {
			w := write{t.Resource, t.Subresource}
			if t.Subresource == policy.AnySubresource {
				continue // a sender could choose them
			}
			if v.writes[w] == nil {
				v.writes[w] = map[string]bool{}
			}
			for _, operation := range t.Operations {
				v.writes[w][string(operation)] = true
			}
		}
	}
	return v
}

func (v *labelValues) write(resource, subresource string) write {
	if w := (write{resource, subresource}); v.writes[w] != nil {
		return w
	}
	return write{resource: other}
}

func (v *labelValues) rule(id string) string {
	if v.rules[id] {
		return id
	}
	return other
}

func (v *labelValues) policy(name string) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.policies[name] {
		if len(v.policies) > program.MaxPolicyLabels {
			return other
		}
		v.policies[name] = true
	}
	return name
}

func operation(name string) string {
	switch admissionv1.Operation(name) {
	case admissionv1.Create, admissionv1.Update, admissionv1.Delete, admissionv1.Connect:
		return name
	}
	return other
}
