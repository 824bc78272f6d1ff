package policy

import (
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
)

func podContainers() Rule {
	return Rule{
		ID: "pod-containers",
		Doc: Doc{
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
		Reads: []string{
			"spec.containers", "spec.initContainers", "spec.ephemeralContainers", "status.containerStatuses",
			"status.initContainerStatuses", "status.ephemeralContainerStatuses",
		},
		Compile: compilePodContainers,
	}
}

func compilePodContainers(spec *v1alpha1.NodeRestrictionPolicySpec, _ *field.Path) (Check, field.ErrorList) {
	if spec.Pods.Containers == nil {
		return nil, nil
	}
	return func(r *Request) []Violation {
		old, updated, spec := &r.OldPod.Status, &r.Pod.Status, &r.Pod.Spec
		vs := phantoms("status.containerStatuses", spec.Containers, old.ContainerStatuses, updated.ContainerStatuses)
		vs = append(vs, phantoms("status.ephemeralContainerStatuses", spec.EphemeralContainers,
			old.EphemeralContainerStatuses, updated.EphemeralContainerStatuses)...)
		return append(vs, phantoms("status.initContainerStatuses", spec.InitContainers,
			old.InitContainerStatuses, updated.InitContainerStatuses)...)
	}, nil
}

// phantoms reports the added statuses whose container is not in the spec.
func phantoms(field string, spec, old, updated []Container) []Violation {
	known := containerNames(spec)
	added := compareSets(containerNames(old), containerNames(updated)).added
	refused := without(added, func(name string) bool { return slices.Contains(known, name) })
	return appendViolation(nil, field, "must not report container", refused)
}

func containerNames(containers []Container) []string {
	names := make([]string, len(containers))
	for i := range containers {
		names[i] = containers[i].Name
	}
	return names
}
