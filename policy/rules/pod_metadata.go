// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
)

func podMetadata() policy.Rule {
	return policy.Rule{
		ID: "pod-metadata",
		Doc: policy.Doc{
			Title: "A kubelet may not change a pod's labels, annotations and finalizers",
			Text: "An update of pods/status also writes the pod's metadata. A kubelet can strip the finalizer by which a Job " +
				"counts its pods, add one so that a pod never goes, or rewrite the annotations that drive network plugins, " +
				"service meshes and autoscalers.",
			Kubelet: "A kubelet's update of pods/status carries the pod's uid and status only.",
			Attack: `kubectl --kubeconfig kubelet.conf patch pod "$POD" --subresource status --type merge ` +
				`-p '{"metadata":{"finalizers":null}}'`,
			Spec:   "spec.pods.metadata",
			Fields: []string{"metadata.labels", "metadata.annotations", "metadata.finalizers"},
			Since:  "v0.1.0",
			Source: "kubernetes v1.37.2 pkg/util/pod/pod.go, pkg/registry/core/pod/strategy.go; kubernetes/kubernetes#45539",
		},
		Targets:     podStatusWrites(),
		OnlyChanges: true,
		Compile:     compilePodMetadata,
	}
}

func compilePodMetadata(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) (policy.Check, field.ErrorList) {
	cfg := spec.Pods.Metadata
	if cfg == nil {
		return nil, nil
	}
	allowed, errs := compileKeys(cfg.AllowedAnnotations, 64, at.Child("pods", "metadata", "allowedAnnotations"))
	return func(r *policy.Request) []policy.Violation {
		old, updated := &r.OldPod.Metadata, &r.Pod.Metadata
		vs := compareKeys(old.Labels, updated.Labels).violationsOf("metadata.labels", "label")
		annotations := compareKeys(old.Annotations, updated.Annotations).except(allowed.Match)
		vs = append(vs, annotations.violationsOf("metadata.annotations", "annotation")...)
		finalizers := compareSets(old.Finalizers, updated.Finalizers)
		return append(vs, finalizers.violationsOf("metadata.finalizers", "finalizer")...)
	}, errs
}
