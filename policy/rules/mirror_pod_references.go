// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"slices"

	"github.com/go-json-experiment/json/jsontext"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
	"noderestriction.plus/policy/object"
)

func mirrorPodReferences() policy.Rule {
	return policy.Rule{
		ID: "mirror-pod-references",
		Doc: policy.Doc{
			Title: "A mirror pod may not refer to API objects that the NodeRestriction plugin does not look for",
			Text: "A mirror pod that joins a scheduling group counts as one of its pods: a gang is scheduled that is " +
				"not complete. With an ephemeral volume it has a controller create a PersistentVolumeClaim, and with a resource " +
				"claim it reserves devices. The plugin looks for resource claims, ephemeral, CSI and Glusterfs volumes since " +
				"Kubernetes 1.34 only, or since a patch release before it. References to service accounts, Secrets, ConfigMaps and " +
				"PersistentVolumeClaims, which each version of the plugin refuses, are left to it and to baseline.",
			Kubelet: "A kubelet refuses a static pod that refers to API objects other than a priority class, a runtime class or a " +
				"scheduling group.",
			Attack: "kubectl --kubeconfig kubelet.conf create -f mirror-pod-with-ephemeral-volume.yaml",
			Spec:   "spec.mirrorPods.references",
			Fields: []string{"spec.schedulingGroup", "spec.resourceClaims", "spec.volumes"},
			Since:  "v0.1.0",
			Source: "kubernetes v1.37.2 pkg/api/pod/util.go (HasAPIObjectReference), pkg/kubelet/config/common.go; kubernetes v1.31.0 and " +
				"v1.33.5 plugin/pkg/admission/noderestriction; CVE-2025-4563",
		},
		Targets: podCreations(),
		Agents:  kubeletsOnly(onlyKubeletsCreate),
		Note:    staticPodKeepsRunning,
		Compile: compileMirrorPodReferences,
		CEL:     stock(expressMirrorPodReferences),
	}
}

func compileMirrorPodReferences(spec *v1alpha1.NodeRestrictionPolicySpec, _ *field.Path) (policy.Check, field.ErrorList) {
	if spec.MirrorPods.References == nil {
		return nil, nil
	}
	return func(r *policy.Request) []policy.Violation {
		var vs []policy.Violation
		if !object.IsEmpty(r.Pod().SchedulingGroup().New()) {
			vs = append(vs, policy.Violation{Field: "spec.schedulingGroup", Detail: "must not be in a scheduling group"})
		}
		if !object.IsEmpty(r.Pod().ResourceClaims().New()) {
			vs = append(vs, policy.Violation{Field: "spec.resourceClaims", Detail: "must not have resource claims"})
		}
		var referring []string
		for _, v := range r.Pod().Volumes().New() {
			if refers(&v) {
				referring = append(referring, v.Name)
			}
		}
		return appendViolation(vs, "spec.volumes", "must not refer to an API object in volume", referring)
	}, nil
}

// refers reports whether a volume refers to an API object for which an older NodeRestriction plugin does not look. The API server
// writes an empty object for a volume with only defaults, and leaves out a volume of another kind.
func refers(v *object.Volume) bool {
	if isSet(v.Ephemeral) || isSet(v.CSI) || isSet(v.Glusterfs) {
		return true
	}
	return v.Projected != nil && slices.ContainsFunc(v.Projected.Sources, func(s object.ProjectionSource) bool {
		return isSet(s.ServiceAccountToken) || isSet(s.ClusterTrustBundle) || isSet(s.PodCertificate)
	})
}

// isSet reports whether an object has a member, even if it is empty.
func isSet(value jsontext.Value) bool { return len(value) > 0 && value.Kind() != jsontext.KindNull }

func expressMirrorPodReferences(_ *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	volumes := on.New("spec.volumes", "[]")
	sources := expression.Elements("e", "projected.sources")
	refers := expression.Or(
		anySet("e", "ephemeral", "csi", "glusterfs"),
		on.Bounded(on.Longer(expression.MaxSources, sources),
			expression.Exists(sources, "s", anySet("s", "serviceAccountToken", "clusterTrustBundle", "podCertificate"))))
	return []expression.Expression{
		when("spec.schedulingGroup", "must not be in a scheduling group", on.New("spec.schedulingGroup", "{}")+" != {}"),
		when("spec.resourceClaims", "must not have resource claims", expression.NotEmpty(on.New("spec.resourceClaims", "[]"))),
		named("spec.volumes", "must not refer to an API object in volume", on.Within(expression.MaxVolumes, "volumes",
			"[]", volumes, expression.Texts(expression.Filter(volumes, "e", refers), "e.name"))),
	}
}

// anySet says in CEL that an object has one of the members.
func anySet(of string, members ...string) string {
	parts := make([]string, len(members))
	for i, member := range members {
		parts[i] = of + ".?" + member + ".hasValue()"
	}
	return expression.Or(parts...)
}
