// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
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
		Targets:     podStatusWrites(),
		OnlyChanges: true,
		Compile:     compilePodContainers,
	}
}

func compilePodContainers(spec *v1alpha1.NodeRestrictionPolicySpec, _ *field.Path) (policy.Check, field.ErrorList) {
	if spec.Pods.Containers == nil {
		return nil, nil
	}
	return func(r *policy.Request) []policy.Violation {
		old, updated := &r.OldPod.Status, &r.Pod.Status
		vs := phantoms(r, "status.containerStatuses", object.SpecContainers, old.ContainerStatuses, updated.ContainerStatuses)
		vs = append(vs, phantoms(r, "status.ephemeralContainerStatuses", object.SpecEphemeralContainers,
			old.EphemeralContainerStatuses, updated.EphemeralContainerStatuses)...)
		return append(vs, phantoms(r, "status.initContainerStatuses", object.SpecInitContainers,
			old.InitContainerStatuses, updated.InitContainerStatuses)...)
	}, nil
}

// phantoms reports the added statuses whose container is not in a list of the spec. That list is read only if there are any.
func phantoms(r *policy.Request, field string, spec object.PartID, old, updated []object.Container) []policy.Violation {
	added := compareSets(containerNames(old), containerNames(updated)).added
	if len(added) == 0 {
		return nil
	}
	containers, err := r.Parts.Containers(spec)
	if err != nil {
		return []policy.Violation{{Field: field, Detail: "must report containers of a spec that is well-formed"}}
	}
	return appendViolation(nil, field, "must not report container", missing(added, containerNames(containers)))
}

func containerNames(containers []object.Container) []string {
	names := make([]string, len(containers))
	for i := range containers {
		names[i] = containers[i].Name
	}
	return names
}
