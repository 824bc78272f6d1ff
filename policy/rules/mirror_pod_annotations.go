// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
	"noderestriction.plus/policy/pattern"
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
		Agents:  kubeletsOnly(onlyKubeletsCreate),
		Note:    staticPodKeepsRunning,
		Compile: compileMirrorPodAnnotations,
		CEL:     stock(expressMirrorPodAnnotations),
	}
}

func compileMirrorPodAnnotations(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) (policy.Check, field.ErrorList) {
	cfg := spec.MirrorPods.Annotations
	if cfg == nil {
		return nil, nil
	}
	allowed, errs := pattern.CompileKeyValues(cfg.Allowed, 128, at.Child("mirrorPods", "annotations", "allowed"))
	return func(r *policy.Request) []policy.Violation {
		annotations := r.Pod().Annotations().New()
		var vs []policy.Violation
		if hash := annotations[configPrefix+"hash"]; hash == "" || hash != annotations[configPrefix+"mirror"] {
			vs = append(vs, policy.Violation{
				Field:  "metadata.annotations",
				Detail: "must have the same kubernetes.io/config.hash and kubernetes.io/config.mirror",
			})
		}
		switch source, has := annotations[configPrefix+"source"]; {
		case !has:
			vs = append(vs, policy.Violation{Field: "metadata.annotations", Detail: "must have kubernetes.io/config.source"})
		case source != "file" && source != "http":
			vs = append(vs, policy.Violation{
				Field:  "metadata.annotations",
				Detail: "must not have kubernetes.io/config.source " + text.Quote(source),
			})
		}
		if len(allowed) > 0 {
			refused := comparePairs(nil, annotations).except(func(key, value string) bool {
				return strings.HasPrefix(key, configPrefix) || allowed.Match(key, value)
			}, allowed.ValueMatters)
			vs = appendViolation(vs, "metadata.annotations", "must not have", refused.added)
		}
		return vs
	}, errs
}

func expressMirrorPodAnnotations(spec *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	annotations := on.New("metadata.annotations", "{}")
	hash := entry(annotations, configPrefix+"hash", "''")
	source := entry(annotations, configPrefix+"source", "''")
	expressions := []expression.Expression{
		when("metadata.annotations", "must have the same kubernetes.io/config.hash and kubernetes.io/config.mirror",
			expression.Or(hash+" == ''", differs(hash, entry(annotations, configPrefix+"mirror", "''")))),
		when("metadata.annotations", "must have kubernetes.io/config.source file or http", expression.Not(expression.In(source, "file", "http"))),
	}
	if allowed := spec.MirrorPods.Annotations.Allowed; len(allowed) > 0 {
		names := on.AddedPairs("{}", annotations, func(key, value string) string {
			return expression.Not(expression.Or(key+".startsWith("+quote(configPrefix)+")", expression.MatchesPair(key, value, allowed)))
		})
		expressions = append(expressions, named("metadata.annotations", "must not have", names))
	}
	return expressions
}

// configPrefix begins the keys of the annotations by which a kubelet knows its static pods.
const configPrefix = "kubernetes.io/config."
