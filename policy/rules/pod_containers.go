// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
	"noderestriction.plus/policy/object"
)

func podContainers() policy.Rule {
	return policy.Rule{
		ID: "pod-containers",
		Doc: policy.Doc{
			Title: "A kubelet may report only containers that the pod has",
			Text: "Tools that check images and find vulnerable ones read the container statuses: a phantom container, " +
				"or a false image, misleads them.",
			Kubelet: "A kubelet reports one status for each container of the spec.",
			Attack: "curl -X PATCH -H 'Content-Type: application/merge-patch+json' .../pods/$POD/status -d " +
				`'{"status":{"containerStatuses":[{"name":"phantom",...}]}}'`,
			Spec:   "spec.pods.containers",
			Fields: []string{"status.containerStatuses", "status.initContainerStatuses", "status.ephemeralContainerStatuses"},
			Since:  "v0.1.0",
			Source: "kubernetes v1.37.2 pkg/apis/core/validation (ValidatePodStatusUpdate)",
		},
		Targets: podStatusWrites(),
		Agents:  sameForAgents(podStatusWrites()),
		Compile: compilePodContainers,
		CEL:     stock(expressPodContainers),
	}
}

func compilePodContainers(spec *v1alpha1.NodeRestrictionPolicySpec, _ *field.Path) (policy.Check, field.ErrorList) {
	if spec.Pods.Containers == nil {
		return nil, nil
	}
	if forAgents(spec) {
		return frozen("status", "containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"), nil
	}
	return func(r *policy.Request) []policy.Violation {
		pod := r.Pod()
		vs := phantoms("status.containerStatuses", pod.ContainerStatuses(), pod.Containers())
		vs = append(vs, phantoms("status.ephemeralContainerStatuses", pod.EphemeralContainerStatuses(), pod.EphemeralContainers())...)
		return append(vs, phantoms("status.initContainerStatuses", pod.InitContainerStatuses(), pod.InitContainers())...)
	}, nil
}

// phantoms returns a violation for added statuses whose container is not in the spec. The spec is decoded only if statuses are added.
func phantoms(
	field string, statuses object.Part[[]object.ContainerStatus], spec object.Part[[]object.Container],
) []policy.Violation {
	if !statuses.Changed() {
		return nil
	}
	old, updated := statuses.Change()
	added := compareSets(reportedNames(old), reportedNames(updated)).added
	if len(added) == 0 {
		return nil
	}
	containers := spec.New()
	names := make([]string, len(containers))
	for i := range containers {
		names[i] = containers[i].Name
	}
	return appendViolation(nil, field, "must not report container", missing(added, names))
}

func reportedNames(statuses []object.ContainerStatus) []string {
	names := make([]string, len(statuses))
	for i := range statuses {
		names[i] = statuses[i].Name
	}
	return names
}

func expressPodContainers(_ *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	var expressions []expression.Expression
	for _, kind := range []struct{ statuses, spec string }{
		{"status.containerStatuses", "spec.containers"},
		{"status.ephemeralContainerStatuses", "spec.ephemeralContainers"},
		{"status.initContainerStatuses", "spec.initContainers"},
	} {
		old, statuses := on.Both(kind.statuses, "[]")
		containers := on.New(kind.spec, "[]")
		namesOf := func(which, list string) string {
			return on.Define(which+strings.ReplaceAll(kind.spec, "spec.", "")+"Names", bounded(on, list, "e.name"))
		}
		names := expression.Filter(namesOf("reported_", statuses), "name", expression.And(
			expression.Absent("name", namesOf("stored_", old)), expression.Absent("name", namesOf("own_", containers))))
		// The containers of a pod are its tenant's.
		unbounded := on.Longer(expression.MaxItems, containers)
		expressions = append(expressions, named(kind.statuses, "must not report container",
			expression.If(unbounded, expression.None, on.Within(expression.MaxItems, "containers", old, statuses, names))))
	}
	return expressions
}
