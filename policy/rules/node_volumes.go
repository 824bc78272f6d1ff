// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"strconv"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
)

func nodeVolumes() policy.Rule {
	return policy.Rule{
		ID: "node-volumes",
		Doc: policy.Doc{
			Title: "A kubelet may report only so many volumes as in use",
			Text: "A volume that a Node reports as in use is not detached from it: a kubelet that reports all of them " +
				"keeps them from every other node.",
			Kubelet: "A kubelet reports the attachable volumes of its pods.",
			Attack: "curl -X PATCH -H 'Content-Type: application/merge-patch+json' .../api/v1/nodes/$NODE/status -d " +
				`'{"status":{"volumesInUse":[...]}}'`,
			Spec:   "spec.nodes.volumes",
			Fields: []string{"status.volumesInUse"},
			Since:  "v0.1.0",
			Source: "kubernetes v1.37.2 pkg/kubelet/nodestatus/setters.go (VolumesInUse)",
		},
		Targets: nodeStatusWrites(),
		Agents:  sameForAgents(nodeStatusWrites()),
		Compile: compileNodeVolumes,
		CEL:     exactly(expressNodeVolumes),
	}
}

func compileNodeVolumes(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) (policy.Check, field.ErrorList) {
	cfg := spec.Nodes.Volumes
	if cfg == nil {
		return nil, nil
	}
	if forAgents(spec) {
		return frozen("status", "volumesInUse"), refuseForAgents(spec, at.Child("nodes", "volumes"), setting{"maxInUse", cfg.MaxInUse != 0})
	}
	limit := int(cfg.MaxInUse)
	var errs field.ErrorList
	switch {
	case limit == 0:
		limit = defaultVolumesInUse
	case limit < 0 || limit > 10000:
		errs = append(errs, field.Invalid(at.Child("nodes", "volumes", "maxInUse"), limit, "must be between 1 and 10000"))
	}
	return func(r *policy.Request) []policy.Violation {
		old, updated := r.Node().VolumesInUse().Change()
		n := len(updated)
		if n <= limit || n <= len(old) {
			return nil
		}
		return []policy.Violation{{
			Field: "status.volumesInUse", Detail: "must not report " + strconv.Itoa(n) + " volumes as in use",
		}}
	}, errs
}

func expressNodeVolumes(spec *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	limit := int(spec.Nodes.Volumes.MaxInUse)
	if limit == 0 {
		limit = defaultVolumesInUse
	}
	old, volumes := on.Both("status.volumesInUse", "[]")
	return []expression.Expression{when("status.volumesInUse", "must not report more volumes as in use than "+strconv.Itoa(limit),
		expression.And(larger(volumes, limit), "size("+volumes+") > size("+old+")"))}
}

// defaultVolumesInUse is the largest number of volumes in use, unless a policy says another.
const defaultVolumesInUse = 256
