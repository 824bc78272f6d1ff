// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/object"
	"noderestriction.plus/policy/pattern"
)

func nodeInfo() policy.Rule {
	return policy.Rule{
		ID: "node-info",
		Doc: policy.Doc{
			Title: "A kubelet may not change the operating system and architecture of its Node",
			Text: "Pods are placed, and images chosen, by operating system and architecture; scanners and " +
				"version-gated features go by the versions a kubelet reports.",
			Kubelet: "Operating system and architecture are constants of a machine; versions change with an upgrade. A " +
				"machine that is replaced by one of another architecture needs its Node deleted first.",
			Attack: "curl -X PATCH -H 'Content-Type: application/merge-patch+json' .../api/v1/nodes/$NODE/status -d " +
				`'{"status":{"nodeInfo":{"architecture":"arm64"}}}'`,
			Spec:   "spec.nodes.info",
			Fields: []string{"status.nodeInfo"},
			Since:  "v0.1.0",
			Source: "kubernetes v1.37.2 pkg/kubelet/nodestatus/setters.go (MachineInfo, GoRuntime)",
		},
		Targets: nodeStatusWrites(),
		Compile: compileNodeInfo,
	}
}

func compileNodeInfo(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) (policy.Check, field.ErrorList) {
	cfg := spec.Nodes.Info
	if cfg == nil {
		return nil, nil
	}
	at = at.Child("nodes", "info", "allowed")
	if errs := pattern.CheckMap(cfg.Allowed, 6, at); errs != nil {
		return nil, errs
	}
	known := nodeInfoFields(&object.NodeInfo{})
	allowed := map[string]pattern.Patterns{}
	var errs field.ErrorList
	for _, name := range slices.Sorted(maps.Keys(cfg.Allowed)) {
		if _, has := known[string(name)]; !has {
			shown := text.Cut(string(name), text.MaxQuoted)
			errs = append(errs, field.NotSupported(at.Key(shown), v1alpha1.NodeInfoField(shown), slices.Sorted(maps.Keys(known))))
			continue
		}
		compiled, bad := pattern.CompileAll(cfg.Allowed[name], 32, at.Key(string(name)))
		errs = append(errs, bad...)
		allowed[string(name)] = compiled
	}
	return func(r *policy.Request) []policy.Violation {
		old, updated := r.Node().NodeInfo().Change()
		if old == updated {
			return nil
		}
		before, after := nodeInfoFields(&old), nodeInfoFields(&updated)
		changes := compareKeys(before, after)
		var refused []string
		for _, name := range changes.changed {
			immutable := (name == "operatingSystem" || name == "architecture") && before[name] != ""
			list, listed := allowed[name]
			if immutable || listed && !list.Match(after[name]) {
				refused = append(refused, name+"="+after[name])
			}
		}
		return appendViolation(nil, "status.nodeInfo", "must not change to", refused)
	}, errs
}

// nodeInfoFields returns the fields by name.
func nodeInfoFields(i *object.NodeInfo) map[string]string {
	return map[string]string{
		"kernelVersion": i.KernelVersion, "osImage": i.OSImage, "containerRuntimeVersion": i.ContainerRuntimeVersion,
		"kubeletVersion": i.KubeletVersion, "operatingSystem": i.OperatingSystem, "architecture": i.Architecture,
	}
}
