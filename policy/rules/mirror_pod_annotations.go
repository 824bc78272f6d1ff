// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
)

func mirrorPodAnnotations() policy.Rule {
	return policy.Rule{
		ID: "mirror-pod-annotations",
		Doc: policy.Doc{
			Title: "A mirror pod carries the annotations that make it one, and no others than allowed",
			Text: "Pods that only look like mirror pods are exempt from checks in many admission policies; other " +
				"annotations instruct agents, such as what to scrape and to inject.",
			Kubelet: "A kubelet sets kubernetes.io/config.hash and config.mirror to the same hash, config.source to file " +
				"or http, and config.seen; it copies the annotations of the manifest.",
			Attack: "kubectl --kubeconfig kubelet.conf create -f pod-with-mirror-annotation-only.yaml",
			Spec:   "spec.mirrorPods.annotations",
			Fields: []string{"metadata.annotations"},
			Since:  "v0.1.0",
			Source: "kubernetes v1.37.2 pkg/kubelet/config/common.go, pkg/kubelet/pod/mirror_client.go",
		},
		Targets: podCreations(),
		Note:    staticPodKeepsRunning,
		Compile: compileMirrorPodAnnotations,
	}
}

func compileMirrorPodAnnotations(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) (policy.Check, field.ErrorList) {
	cfg := spec.MirrorPods.Annotations
	if cfg == nil {
		return nil, nil
	}
	allowed, errs := compileKeys(cfg.Allowed, 128, at.Child("mirrorPods", "annotations", "allowed"))
	return func(r *policy.Request) []policy.Violation {
		const prefix = "kubernetes.io/config."
		annotations := r.Pod.Annotations
		var vs []policy.Violation
		if hash := annotations[prefix+"hash"]; hash == "" || hash != annotations[prefix+"mirror"] {
			vs = append(vs, policy.Violation{
				Field:  "metadata.annotations",
				Detail: "must have the same kubernetes.io/config.hash and kubernetes.io/config.mirror",
			})
		}
		if source := annotations[prefix+"source"]; source != "file" && source != "http" {
			vs = append(vs, policy.Violation{
				Field:  "metadata.annotations",
				Detail: "must not have kubernetes.io/config.source " + text.Quote(source),
			})
		}
		if len(allowed) > 0 {
			refused := compareKeys(nil, annotations).except(func(key string) bool {
				return strings.HasPrefix(key, prefix) || allowed.Match(key)
			})
			vs = appendViolation(vs, "metadata.annotations", "must not have", refused.added)
		}
		return vs
	}, errs
}
