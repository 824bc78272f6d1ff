package policy

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
)

func nodeCapacity() Rule {
	return Rule{
		ID: "node-capacity",
		Doc: Doc{
			Title: "A kubelet may report only as many resources as a policy allows",
			Text: "The scheduler places pods where there is room. A kubelet that reports more CPUs, memory or pods " +
				"than it has draws pods to itself, with their secrets.",
			Kubelet: "A kubelet reports what its machine has. What does not grow passes.",
			Attack: "curl -X PATCH -H 'Content-Type: application/merge-patch+json' .../api/v1/nodes/$NODE/status -d " +
				`'{"status":{"allocatable":{"cpu":"9999"},"capacity":{"cpu":"9999"}}}'`,
			Spec:   "spec.nodes.capacity",
			Fields: []string{"status.capacity", "status.allocatable"},
			Since:  "v0.1.0",
			Source: "kubernetes v1.37.2 pkg/kubelet/nodestatus/setters.go",
		},
		Targets:     nodeStatusWrites(),
		OnlyChanges: true,
		Compile:     compileNodeCapacity,
	}
}

func compileNodeCapacity(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) (Check, field.ErrorList) {
	cfg := spec.Nodes.Capacity
	if cfg == nil {
		return nil, nil
	}
	at = at.Child("nodes", "capacity", "max")
	errs := checkLength(len(cfg.Max), 64, at)
	limits := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("4096"), corev1.ResourceMemory: resource.MustParse("64Ti"),
		corev1.ResourcePods: resource.MustParse("10000"), corev1.ResourceEphemeralStorage: resource.MustParse("1Pi"),
	}
	for name, limit := range cfg.Max {
		if limit.Sign() < 0 {
			errs = append(errs, field.Invalid(at.Key(string(name)), limit.String(), "must not be negative"))
		}
		limits[name] = limit
	}
	tooMany := func(old, updated corev1.ResourceList) []string {
		var refused []string
		for name, quantity := range updated {
			before := old[name]
			if limit, has := limits[name]; has && quantity.Cmp(limit) > 0 && quantity.Cmp(before) > 0 {
				refused = append(refused, string(name)+"="+quantity.String())
			}
		}
		slices.Sort(refused)
		return refused
	}
	return func(r *Request) []Violation {
		old, updated := &r.oldNode().Status, &r.Node.Status
		vs := appendViolation(nil, "status.allocatable", "must not offer", tooMany(old.Allocatable, updated.Allocatable))
		return appendViolation(vs, "status.capacity", "must not have", tooMany(old.Capacity, updated.Capacity))
	}, errs
}
