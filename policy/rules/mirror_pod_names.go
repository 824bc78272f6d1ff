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
)

func mirrorPodNames() policy.Rule {
	return policy.Rule{
		ID: "mirror-pod-names",
		Doc: policy.Doc{
			Title: "A mirror pod is named after its node",
			Text: "A kubelet that is free to name mirror pods takes the names that controllers are about to use, such as a " +
				"StatefulSet's web-0, and hides among the pods of a ReplicaSet.",
			Kubelet: "A kubelet names each mirror pod <name in the manifest>-<node name in lower case>, and generates none.",
			Attack:  `kubectl --kubeconfig kubelet.conf create -f mirror-pod-web-0.yaml`,
			Spec:    "spec.mirrorPods.names",
			Fields:  []string{"metadata.name", "metadata.generateName"},
			Since:   "v0.1.0",
			Source:  "kubernetes v1.37.2 pkg/kubelet/config/common.go (generatePodName)",
		},
		Targets: podCreations(),
		Agents:  kubeletsOnly(onlyKubeletsCreate),
		Note:    staticPodKeepsRunning,
		Compile: compileMirrorPodNames,
		CEL:     stock(expressMirrorPodNames),
	}
}

func compileMirrorPodNames(spec *v1alpha1.NodeRestrictionPolicySpec, _ *field.Path) (policy.Check, field.ErrorList) {
	if spec.MirrorPods.Names == nil {
		return nil, nil
	}
	return func(r *policy.Request) []policy.Violation {
		var vs []policy.Violation
		if r.Pod().GenerateName().New() != "" {
			vs = append(vs, policy.Violation{Field: "metadata.generateName", Detail: "must not have its name generated"})
		}
		suffix := "-" + strings.ToLower(r.NodeName)
		if name := r.Pod().Name().New(); !strings.HasSuffix(name, suffix) || name == suffix {
			vs = append(vs, policy.Violation{
				Field:  "metadata.name",
				Detail: "must not be named " + text.Quote(name) + ", which does not end in " + text.Quote(suffix),
			})
		}
		return vs
	}, nil
}

func expressMirrorPodNames(_ *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	name := on.New("metadata.name", "''")
	suffix := "'-' + " + on.NodeName() + ".lowerAscii()"
	return []expression.Expression{
		when("metadata.generateName", "must not have its name generated", on.New("metadata.generateName", "''")+" != ''"),
		when("metadata.name", "must have a name that ends in the name of the node",
			expression.Or("!"+name+".endsWith("+suffix+")", name+" == "+suffix)),
	}
}
