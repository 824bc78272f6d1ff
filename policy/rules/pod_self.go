// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
)

func podSelf() policy.Rule {
	return policy.Rule{
		ID: "pod-self",
		Doc: policy.Doc{
			Title: "A kubelet may write only the pods that are bound to its node",
			Text: "A kubelet that reports for, deletes or evicts the pods of other nodes takes services down. The " +
				"NodeRestriction plugin forbids it only to users in the group system:nodes.",
			Kubelet: "A kubelet writes the pods of its own node only.",
			Attack:  `kubectl --kubeconfig kubelet.conf delete pod "$POD_OF_ANOTHER_NODE"`,
			Spec:    "spec.pods.self",
			Fields:  []string{"spec.nodeName"},
			Since:   "v0.1.0",
			Source: "kubernetes v1.37.2 plugin/pkg/admission/noderestriction (admitPod, admitPodStatus, " +
				"admitPodEviction)",
		},
		Targets: existingPodWrites(),
		Agents:  policy.Agents{Targets: agentPodWrites(), CEL: true},
		Compile: compilePodSelf,
		CEL: policy.CEL{
			Kind: policy.Narrower, Strictest: `{}`, Gate: `{}`, Express: expressPodSelf,
			Why: "an eviction does not contain the pod, whose node is a lookup",
			Differs: func(_ *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) bool {
				return on.Subresource == "eviction"
			},
		},
	}
}

func compilePodSelf(spec *v1alpha1.NodeRestrictionPolicySpec, _ *field.Path) (policy.Check, field.ErrorList) {
	if spec.Pods.Self == nil {
		return nil, nil
	}
	return func(r *policy.Request) []policy.Violation {
		nodeName := ""
		switch {
		case r.NodeName == "":
			return nil // a node agent without a node, which is a violation of its own
		case r.Pod().IsStored():
			nodeName = r.Pod().NodeName().Old()
		case r.Resource == "pods" && r.Subresource == "" && r.Operation == admissionv1.Create: // by a node agent
			nodeName = r.Pod().NodeName().New()
		default: // an eviction does not contain the pod
			pod, found, err := r.LookUpPod(r.Namespace, r.Name)
			switch {
			case err != nil:
				return []policy.Violation{{Field: "spec.nodeName", Detail: "must be on this node, but the pod could not be looked up"}}
			case !found:
				return nil // the API server answers that it does not exist
			}
			nodeName = pod.Spec.NodeName
		}
		if nodeName == r.NodeName {
			return nil
		}
		return []policy.Violation{{Field: "spec.nodeName", Detail: "must not write a pod that is not on this node"}}
	}, nil
}

func expressPodSelf(_ *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	if on.Subresource == "eviction" {
		return nil
	}
	nodeName := on.Old("spec.nodeName", "''")
	if on.Operation == expression.Create {
		nodeName = on.New("spec.nodeName", "''")
	}
	return []expression.Expression{
		when("spec.nodeName", "must not write a pod that is not on this node", on.HasNode(differs(nodeName, on.NodeName()))),
	}
}
