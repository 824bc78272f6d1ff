// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
	"noderestriction.plus/policy/object"
)

func nodeReservedStatus() policy.Rule {
	return policy.Rule{
		ID: "node-reserved-status",
		Doc: policy.Doc{
			Title: "A kubelet may not write the fields of status that belong to controllers",
			Text: "The attach-detach controller believes volumesAttached when it starts, and detaches or attaches the " +
				"volumes of others by it.",
			Kubelet: "A kubelet never writes volumesAttached, phase and config.",
			Attack: "curl -X PATCH -H 'Content-Type: application/merge-patch+json' .../api/v1/nodes/$NODE/status -d " +
				`'{"status":{"volumesAttached":[{"name":"x","devicePath":""}]}}'`,
			Spec:   "spec.nodes.reservedStatus",
			Fields: []string{"status.volumesAttached", "status.phase", "status.config"},
			Since:  "v0.1.0",
			Source: "kubernetes v1.37.2 pkg/controller/volume/attachdetach",
		},
		Targets: nodeStatusWrites(),
		Agents:  sameForAgents(nodeStatusWrites()),
		Compile: compileNodeReservedStatus,
		CEL:     stock(expressNodeReservedStatus),
	}
}

func compileNodeReservedStatus(spec *v1alpha1.NodeRestrictionPolicySpec, _ *field.Path) (policy.Check, field.ErrorList) {
	if spec.Nodes.ReservedStatus == nil {
		return nil, nil
	}
	return func(r *policy.Request) []policy.Violation {
		oldPhase, newPhase := r.Node().Phase().Change()
		var vs []policy.Violation
		for _, f := range []struct {
			name    string
			changed bool
		}{
			{"status.config", !object.SameOrEmpty(r.Node().Config().Change())},
			{"status.phase", oldPhase != newPhase},
			{"status.volumesAttached", !object.SameOrEmpty(r.Node().VolumesAttached().Change())},
		} {
			if f.changed {
				vs = append(vs, policy.Violation{Field: f.name, Detail: "must not change " + f.name})
			}
		}
		return vs
	}, nil
}

func expressNodeReservedStatus(_ *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	return []expression.Expression{
		when("status.config", "must not change status.config", differs(on.Both("status.config", "{}"))),
		when("status.phase", "must not change status.phase", differs(on.Both("status.phase", "''"))),
		when("status.volumesAttached", "must not change status.volumesAttached", differs(on.Both("status.volumesAttached", "[]"))),
	}
}
