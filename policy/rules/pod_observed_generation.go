// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"strconv"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
	"noderestriction.plus/policy/object"
)

func podObservedGeneration() policy.Rule {
	return policy.Rule{
		ID: "pod-observed-generation",
		Doc: policy.Doc{
			Title: "A kubelet may not report that it has observed a generation of a pod that does not exist yet",
			Text: "Who resizes a pod, or changes it otherwise, waits until the observed generation has reached that of the pod. A " +
				"kubelet that reports a higher one makes each later change look as if it were in effect already.",
			Kubelet: "A kubelet reports the generation of the pod that it has read. Mirror pods are exempt: it reports the " +
				"generation in the manifest. After etcd has been restored from a snapshot, a pod may have a lower generation " +
				"than its kubelet remembers: restart the kubelets then, as the documentation of Kubernetes says.",
			Attack: "curl -X PATCH -H 'Content-Type: application/merge-patch+json' .../pods/$POD/status -d " +
				`'{"status":{"observedGeneration":1000}}'`,
			Spec:   "spec.pods.observedGeneration",
			Fields: []string{"status.observedGeneration", "status.conditions"},
			Since:  "v0.1.0",
			Source: "KEP-5067; kubernetes v1.37.2 pkg/api/v1/pod/util.go, pkg/kubelet/status/status_manager.go",
		},
		Targets: podStatusWrites(),
		Agents:  sameForAgents(podStatusWrites()),
		Compile: compilePodObservedGeneration,
		CEL:     exactly(expressPodObservedGeneration),
	}
}

func compilePodObservedGeneration(spec *v1alpha1.NodeRestrictionPolicySpec, _ *field.Path) (policy.Check, field.ErrorList) {
	if spec.Pods.ObservedGeneration == nil {
		return nil, nil
	}
	if forAgents(spec) {
		return frozen("status", "observedGeneration"), nil
	}
	return func(r *policy.Request) []policy.Violation {
		pod := r.Pod()
		if object.IsMirror(pod.Annotations().Old()) {
			return nil
		}
		generation := pod.Generation().Old()
		var vs []policy.Violation
		if was, is := pod.ObservedGeneration().Change(); is != was && is > generation {
			vs = append(vs, policy.Violation{
				Field:  "status.observedGeneration",
				Detail: "must not observe generation " + strconv.FormatInt(is, 10) + " of " + strconv.FormatInt(generation, 10),
			})
		}
		old, updated := pod.Conditions().Change()
		return appendViolation(vs, "status.conditions", "must not observe a later generation in condition", ahead(old, updated, generation))
	}, nil
}

// ahead returns the types of conditions that are new or changed and observe more than a generation.
func ahead(old, updated object.Conditions, generation int64) []string {
	var types []string
	var before map[string]int64
	for _, c := range updated {
		observed := c.ObservedGeneration()
		if observed <= generation {
			continue
		}
		if before == nil {
			before = highestObserved(old)
		}
		if observed > before[c.Type] {
			types = append(types, c.Type)
		}
	}
	return types
}

// highestObserved returns the highest generation that conditions of each type observe.
func highestObserved(conditions object.Conditions) map[string]int64 {
	highest := make(map[string]int64, len(conditions))
	for _, c := range conditions {
		highest[c.Type] = max(highest[c.Type], c.ObservedGeneration())
	}
	return highest
}

func expressPodObservedGeneration(_ *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	notMirror := expression.Not(celIsMirror(on))
	generation := on.Old("metadata.generation", "0")
	was, is := on.Both("status.observedGeneration", "0")
	old, updated := on.Both("status.conditions", "[]")
	later := func(of, name string) string {
		return on.Define(name, expression.If(on.Longer(expression.MaxItems, of), of,
			expression.Filter(of, "e", "e.?observedGeneration.orValue(0) > "+generation)))
	}
	before, after := later(old, "oldLaterConditions"), later(updated, "newLaterConditions")
	known := expression.Exists(before, "o",
		expression.And("o.type == e.type", "o.?observedGeneration.orValue(0) >= e.?observedGeneration.orValue(0)"))
	names := expression.Texts(expression.Filter(after, "e", expression.Not(known)), "e.type")
	return []expression.Expression{
		when("status.observedGeneration", "must not observe a later generation",
			expression.And(differs(was, is), is+" > "+generation, notMirror)),
		named("status.conditions", "must not observe a later generation in condition", expression.If(
			expression.And(expression.Changed(old, updated), notMirror),
			on.Within(expression.MaxConditions, "conditions", before, after, names), expression.None)),
	}
}
