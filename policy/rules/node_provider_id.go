// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
	"noderestriction.plus/policy/pattern"
)

func nodeProviderID() policy.Rule {
	return policy.Rule{
		ID: "node-provider-id",
		Doc: policy.Doc{
			Title: "A kubelet may register only with an allowed provider ID, and not change it",
			Text: "With another machine's provider ID a kubelet gets that machine's addresses and zone from the cloud " +
				"controller, and an autoscaler terminates the wrong one.",
			Kubelet: "A kubelet sets spec.providerID at registration, from its flag, and never later.",
			Attack: `kubectl --kubeconfig kubelet.conf patch node "$NODE" -p ` +
				`'{"spec":{"providerID":"aws:///eu-1a/i-0123"}}'`,
			Spec:   "spec.nodes.providerID",
			Fields: []string{"spec.providerID"},
			Since:  "v0.1.0",
			Source: "kubernetes v1.37.2 pkg/kubelet/kubelet_node_status.go (initialNode); how controllers read provider IDs: " +
				"cloud-provider-aws b82bcf9d pkg/providers/v1/instances.go, cloud-provider-openstack a2ca362d pkg/openstack/utils.go",
		},
		Targets: nodeSpecWrites(),
		Agents:  sameForAgents(nodeSpecWrites()),
		LooksUp: nodeProviderIDLookUp,
		Compile: compileNodeProviderID,
		CEL: policy.CEL{
			Kind: policy.Narrower, Strictest: `{}`, Gate: `{}`, Express: expressNodeProviderID,
			Why: "whether another Node has the provider ID, with ofOtherNodes: Deny, is a lookup",
			Differs: func(spec *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) bool {
				return spec.Nodes.ProviderID.OfOtherNodes == v1alpha1.AccessDeny && on.Operation == expression.Create
			},
		},
	}
}

func compileNodeProviderID(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) (policy.Check, field.ErrorList) {
	cfg := spec.Nodes.ProviderID
	if cfg == nil {
		return nil, nil
	}
	at = at.Child("nodes", "providerID")
	allowed, errs := pattern.CompileAll(cfg.Allowed, 32, at.Child("allowed"))
	errs = append(errs, pattern.CheckEnum(cfg.OfOtherNodes, at.Child("ofOtherNodes"), v1alpha1.AccessAllow, v1alpha1.AccessDeny)...)
	errs = append(errs, refuseForAgents(spec, at, setting{"allowed", cfg.Allowed != nil}, setting{"ofOtherNodes", cfg.OfOtherNodes != ""})...)
	return func(r *policy.Request) []policy.Violation {
		old, id := r.Node().ProviderID().Change()
		registers := r.Operation == admissionv1.Create && r.Subject.IsKubelet()
		detail := ""
		switch {
		case !registers && id != old:
			detail = "must not change the provider ID to " + text.Quote(id)
		case !registers || id == "":
		case len(allowed) > 0 && !allowed.Match(id):
			detail = "must not register with provider ID " + text.Quote(id)
		case cfg.OfOtherNodes == v1alpha1.AccessDeny:
			detail = othersProviderID(r, id)
		}
		if detail == "" {
			return nil
		}
		return []policy.Violation{{Field: "spec.providerID", Detail: detail}}
	}, errs
}

// othersProviderID returns what is wrong if another Node has the provider ID.
func othersProviderID(r *policy.Request, id string) string {
	switch others, err := r.IsProviderIDOfAnotherNode(id); {
	case err != nil:
		return "must not register with the provider ID of another Node, but they could not be looked up"
	case others:
		return "must not register with the provider ID of another Node " + text.Quote(id)
	}
	return ""
}

func expressNodeProviderID(spec *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	old, id := on.Both("spec.providerID", "''")
	if on.Operation != expression.Create {
		return []expression.Expression{when("spec.providerID", "must not change the provider ID", differs(old, id))}
	}
	allowed := spec.Nodes.ProviderID.Allowed
	if len(allowed) == 0 {
		return nil
	}
	refused := expression.And(id+" != ''", expression.Not(expression.Matches(id, allowed)))
	return []expression.Expression{when("spec.providerID", "must not register with this provider ID", refused)}
}
