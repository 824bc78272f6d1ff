// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
	"noderestriction.plus/policy/pattern"
)

func nodeKubeletPorts() policy.Rule {
	return policy.Rule{
		ID: "node-kubelet-ports",
		Doc: policy.Doc{
			Title: "A kubelet may report only an allowed port",
			Text: "The API server connects to the reported port of the reported address for logs, exec and proxying. " +
				"With 6443 or a privileged port a kubelet has it connect to other services, with its credentials.",
			Kubelet: "A kubelet reports the port of its configuration, 10250 unless changed.",
			Attack: "curl -X PATCH -H 'Content-Type: application/merge-patch+json' .../api/v1/nodes/$NODE/status -d " +
				`'{"status":{"daemonEndpoints":{"kubeletEndpoint":{"Port":6443}}}}'`,
			Spec:   "spec.nodes.kubeletPorts",
			Fields: []string{"status.daemonEndpoints.kubeletEndpoint.Port"},
			Since:  "v0.1.0",
			Source: "kubernetes v1.37.2 pkg/kubelet/nodestatus/setters.go, pkg/kubelet/client",
		},
		Targets: nodeStatusWrites(),
		Agents:  sameForAgents(nodeStatusWrites()),
		Compile: compileNodeKubeletPorts,
		CEL:     exactly(expressNodeKubeletPorts),
	}
}

func compileNodeKubeletPorts(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) (policy.Check, field.ErrorList) {
	cfg := spec.Nodes.KubeletPorts
	if cfg == nil {
		return nil, nil
	}
	if forAgents(spec) {
		errs := refuseForAgents(spec, at.Child("nodes", "kubeletPorts"), setting{"allowed", cfg.Allowed != nil})
		return frozen("status", "daemonEndpoints"), errs
	}
	at = at.Child("nodes", "kubeletPorts", "allowed")
	if errs := pattern.CheckList(cfg.Allowed, 16, at); errs != nil {
		return nil, errs
	}
	var errs field.ErrorList
	for i, port := range cfg.Allowed {
		if port < 1 || port > 65535 {
			errs = append(errs, field.Invalid(at.Index(i), port, "must be between 1 and 65535"))
		}
	}
	return func(r *policy.Request) []policy.Violation {
		old, updated := r.Node().DaemonEndpoints().Change()
		port := updated.KubeletEndpoint.Port
		if port == old.KubeletEndpoint.Port || port == 0 || isAllowedPort(cfg.Allowed, port) {
			return nil
		}
		return []policy.Violation{{
			Field:  "status.daemonEndpoints.kubeletEndpoint.Port",
			Detail: "must not report port " + strconv.Itoa(int(port)),
		}}
	}, errs
}

// isAllowedPort reports whether the port is listed or, without a list, neither privileged nor a port of etcd or an API server.
func isAllowedPort(allowed []int32, port int32) bool {
	if len(allowed) > 0 {
		return slices.Contains(allowed, port)
	}
	return port >= 1024 && port <= 65535 && port != 2379 && port != 2380 && port != 6443
}

func expressNodeKubeletPorts(spec *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	old, port := on.Both("status.daemonEndpoints.kubeletEndpoint.Port", "0")
	allowed := port + " >= 1024 && " + port + " <= 65535 && !(" + port + " in [2379, 2380, 6443])"
	if list := spec.Nodes.KubeletPorts.Allowed; len(list) > 0 {
		allowed = port + " in " + strings.ReplaceAll(fmt.Sprint(list), " ", ", ")
	}
	return []expression.Expression{when("status.daemonEndpoints.kubeletEndpoint.Port", "must not report this port",
		expression.And(differs(port, old), port+" != 0", expression.Not(allowed)))}
}
