// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
	"noderestriction.plus/policy/pattern"
)

func podMetadata() policy.Rule {
	return policy.Rule{
		ID: "pod-metadata",
		Doc: policy.Doc{
			Title: "A kubelet may not change a pod's labels, annotations and finalizers",
			Text: "An update of pods/status also writes the pod's metadata. A kubelet can strip the finalizer by which a Job " +
				"counts its pods, add one so that a pod never goes, or rewrite the annotations that drive network plugins, " +
				"service meshes and autoscalers. A node agent that may update pods can also change their owners, so that the garbage " +
				"collector deletes them.",
			Kubelet: "A kubelet's update of pods/status carries the pod's uid and status only.",
			Attack: `kubectl --kubeconfig kubelet.conf patch pod "$POD" --subresource status --type merge ` +
				`-p '{"metadata":{"finalizers":null}}'`,
			Spec:   "spec.pods.metadata",
			Fields: []string{"metadata.labels", "metadata.annotations", "metadata.finalizers", "metadata.ownerReferences"},
			Since:  "v0.1.0",
			Source: "kubernetes v1.37.2 pkg/util/pod/pod.go, pkg/registry/core/pod/strategy.go; kubernetes/kubernetes#45539",
		},
		Targets: podStatusWrites(),
		Agents:  sameForAgents(podUpdates()),
		Compile: compilePodMetadata,
		CEL:     stock(expressPodMetadata),
	}
}

func compilePodMetadata(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) (policy.Check, field.ErrorList) {
	cfg := spec.Pods.Metadata
	if cfg == nil {
		return nil, nil
	}
	var allowed pattern.KeyValues
	var errs field.ErrorList
	if cfg.Annotations != nil {
		allowed, errs = pattern.CompileKeyValues(cfg.Annotations.Allowed, 64, at.Child("pods", "metadata", "annotations", "allowed"))
	}
	return func(r *policy.Request) []policy.Violation {
		pod := r.Pod()
		vs := compareKeys(pod.Labels().Change()).violationsOf("metadata.labels", "label")
		annotations := comparePairs(pod.Annotations().Change()).except(allowed.Match, allowed.ValueMatters)
		vs = append(vs, annotations.violationsOf("metadata.annotations", "annotation")...)
		finalizers := compareSets(pod.Finalizers().Change())
		vs = append(vs, finalizers.violationsOf("metadata.finalizers", "finalizer")...)
		if !forAgents(spec) {
			return vs // of a kubelet, whose updates of the status keep the owners that are stored
		}
		old, updated := pod.OwnerReferences().Change()
		return append(vs, compareKeys(ownersByText(old), ownersByText(updated)).violationsOf("metadata.ownerReferences", "owner")...)
	}, errs
}

func expressPodMetadata(spec *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	var allowed []v1alpha1.KeyValuePattern
	if annotations := spec.Pods.Metadata.Annotations; annotations != nil {
		allowed = annotations.Allowed
	}
	oldLabels, labels := on.Both("metadata.labels", "{}")
	oldAnnotations, annotations := on.Both("metadata.annotations", "{}")
	oldFinalizers, finalizers := on.Both("metadata.finalizers", "[]")
	return []expression.Expression{
		when("metadata.labels", "must not change labels", differs(oldLabels, labels)),
		named("metadata.annotations", "must not change annotation", on.ChangedPairs(oldAnnotations, annotations,
			func(key, value string) string { return expression.Not(expression.MatchesPair(key, value, allowed)) })),
		named("metadata.finalizers", "must not change finalizer", on.ChangedItems(oldFinalizers, finalizers, expression.Always)),
	}
}
