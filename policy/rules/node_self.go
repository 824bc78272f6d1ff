// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
)

func nodeSelf() policy.Rule {
	return policy.Rule{
		ID: "node-self",
		Doc: policy.Doc{
			Title: "A kubelet may write only the Node of its own name",
			Text: "A kubelet that writes another Node takes over its labels, addresses and health. The " +
				"NodeRestriction plugin forbids it only to users in the group system:nodes.",
			Kubelet: "A kubelet writes the Node of its name only.",
			Attack:  `kubectl --kubeconfig kubelet.conf label node "$ANOTHER_NODE" example.com/broken=true`,
			Spec:    "spec.nodes.self",
			Fields:  []string{"metadata.name"},
			Since:   "v0.1.0",
			Source:  "kubernetes v1.37.2 plugin/pkg/admission/noderestriction (admitNode), pkg/auth/nodeidentifier",
		},
		Targets: allNodeWrites(),
		Agents:  policy.Agents{Targets: allNodeWrites(), CEL: true},
		Compile: compileNodeSelf,
		CEL:     stock(expressNodeSelf),
	}
}

func compileNodeSelf(spec *v1alpha1.NodeRestrictionPolicySpec, _ *field.Path) (policy.Check, field.ErrorList) {
	if spec.Nodes.Self == nil {
		return nil, nil
	}
	return func(r *policy.Request) []policy.Violation {
		name := r.WrittenNode()
		if name == r.NodeName || r.NodeName == "" { // of a node agent without a node, which is a violation of its own
			return nil
		}
		return []policy.Violation{{Field: "metadata.name", Detail: "must not write Node " + text.Quote(name)}}
	}, nil
}

func expressNodeSelf(_ *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	name, inObject := on.Name(), on.New("metadata.name", "''")
	if on.Operation == expression.Delete { // of a collection, whose requests have no name
		inObject = on.Old("metadata.name", "''")
	}
	name = "(" + expression.If(name+" != ''", name, inObject) + ")"
	return []expression.Expression{when("metadata.name", "must not write another Node", on.HasNode(differs(name, on.NodeName())))}
}
