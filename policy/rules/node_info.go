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
	"noderestriction.plus/policy/expression"
	"noderestriction.plus/policy/object"
	"noderestriction.plus/policy/pattern"
)

func nodeInfo() policy.Rule {
	return policy.Rule{
		ID: "node-info",
		Doc: policy.Doc{
			Title: "A kubelet may not change the operating system and architecture of its Node, nor label it with others",
			Text: "Pods are placed, and images chosen, by operating system and architecture; scanners and " +
				"version-gated features go by the versions a kubelet reports. With the labels of another architecture a Node " +
				"draws the pods that are meant for such machines. Inventories find a machine by its machine ID and system UUID.",
			Kubelet: "Operating system and architecture are constants of a machine, which the kubelet also writes into the " +
				"labels kubernetes.io/os and kubernetes.io/arch; versions change with an upgrade. A machine that is " +
				"replaced by one of another architecture needs its Node deleted first. A replaced or reinstalled machine " +
				"has another machine ID, and the boot ID changes with every boot.",
			Attack: "curl -X PATCH -H 'Content-Type: application/merge-patch+json' .../api/v1/nodes/$NODE/status -d " +
				`'{"status":{"nodeInfo":{"architecture":"arm64"}}}'`,
			Spec:   "spec.nodes.info",
			Fields: []string{"status.nodeInfo", "metadata.labels"},
			Since:  "v0.1.0",
			Source: "kubernetes v1.37.2 pkg/kubelet/nodestatus/setters.go (MachineInfo, GoRuntime), " +
				"pkg/kubelet/kubelet_node_status.go (initialNode, updateNode)",
		},
		Targets: nodeWrites(),
		Agents:  sameForAgents(nodeWrites()),
		Compile: compileNodeInfo,
		CEL:     stock(expressNodeInfo),
	}
}

func compileNodeInfo(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) (policy.Check, field.ErrorList) {
	cfg := spec.Nodes.Info
	if cfg == nil {
		return nil, nil
	}
	at = at.Child("nodes", "info")
	if forAgents(spec) {
		info := frozen("status", "nodeInfo")
		return func(r *policy.Request) []policy.Violation { return append(info(r), checkPlatformLabels(r)...) },
			refuseForAgents(spec, at, setting{"allowed", cfg.Allowed != nil}, setting{"machineChanges", cfg.MachineChanges != ""})
	}
	allowed, errs := compileInfoPatterns(cfg.Allowed, at.Child("allowed"))
	errs = append(errs, pattern.CheckEnum(cfg.MachineChanges, at.Child("machineChanges"), v1alpha1.AccessAllow, v1alpha1.AccessDeny)...)
	return func(r *policy.Request) []policy.Violation {
		return append(checkInfo(r, allowed, cfg.MachineChanges == v1alpha1.AccessDeny), checkPlatformLabels(r)...)
	}, errs
}

func compileInfoPatterns(
	lists map[v1alpha1.NodeInfoField]v1alpha1.PatternList, at *field.Path,
) (map[string]pattern.Patterns, field.ErrorList) {
	if errs := pattern.CheckMap(lists, 6, at); errs != nil {
		return nil, errs
	}
	known := nodeInfoFields(&object.NodeInfo{})
	allowed := map[string]pattern.Patterns{}
	var errs field.ErrorList
	for _, name := range slices.Sorted(maps.Keys(lists)) {
		if _, has := known[string(name)]; !has {
			shown := text.Cut(string(name), text.MaxQuoted)
			errs = append(errs, field.NotSupported(at.Key(shown), v1alpha1.NodeInfoField(shown), slices.Sorted(maps.Keys(known))))
			continue
		}
		compiled, bad := pattern.CompileAll(lists[name], 32, at.Key(string(name)))
		errs = append(errs, bad...)
		allowed[string(name)] = compiled
	}
	return allowed, errs
}

func checkInfo(r *policy.Request, allowed map[string]pattern.Patterns, sameMachine bool) []policy.Violation {
	old, updated := r.Node().NodeInfo().Change()
	if old == updated {
		return nil
	}
	before, after := nodeInfoFields(&old), nodeInfoFields(&updated)
	var refused []string
	for _, name := range compareKeys(before, after).changed {
		immutable := (name == "operatingSystem" || name == "architecture") && before[name] != ""
		list, listed := allowed[name]
		if immutable || listed && !list.Match(after[name]) {
			refused = append(refused, name+"="+after[name])
		}
	}
	if sameMachine && old.MachineID != "" && updated.MachineID != old.MachineID {
		refused = append(refused, "machineID="+updated.MachineID)
	}
	if sameMachine && old.SystemUUID != "" && updated.SystemUUID != old.SystemUUID {
		refused = append(refused, "systemUUID="+updated.SystemUUID)
	}
	return appendViolation(nil, "status.nodeInfo", "must not change to", refused)
}

// checkPlatformLabels compares the labels of operating system and architecture with status.nodeInfo, if either changes. A kubelet sets
// both from the same constants. Without a value in status.nodeInfo, as in a Node that somebody creates before its kubelet starts, any
// label passes.
func checkPlatformLabels(r *policy.Request) []policy.Violation {
	node := r.Node()
	if !node.Labels().Changed() && !node.NodeInfo().Changed() {
		return nil
	}
	old, labels := node.Labels().Old(), node.Labels().New()
	before, info := node.NodeInfo().Old(), node.NodeInfo().New()
	var refused []string
	for _, platform := range []struct{ label, beta, before, value string }{
		{labelOS, betaLabelOS, before.OperatingSystem, info.OperatingSystem},
		{labelArch, betaLabelArch, before.Architecture, info.Architecture},
	} {
		for _, key := range []string{platform.label, platform.beta} {
			value, has := labels[key]
			was, had := old[key]
			unchanged := had && was == value && platform.before == platform.value
			// With --node-labels=beta.kubernetes.io/os= a kubelet drops a deprecated label.
			if !has || unchanged || platform.value == "" || value == platform.value || value == "" && key == platform.beta {
				continue
			}
			refused = append(refused, key+"="+value)
		}
	}
	return appendViolation(nil, "metadata.labels", "must not contradict status.nodeInfo with", refused)
}

// nodeInfoFields returns the fields by name.
func nodeInfoFields(i *object.NodeInfo) map[string]string {
	return map[string]string{
		"kernelVersion": i.KernelVersion, "osImage": i.OSImage, "containerRuntimeVersion": i.ContainerRuntimeVersion,
		"kubeletVersion": i.KubeletVersion, "operatingSystem": i.OperatingSystem, "architecture": i.Architecture,
	}
}

func expressNodeInfo(spec *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	cfg := spec.Nodes.Info
	var changes []string
	for _, name := range slices.Sorted(maps.Keys(nodeInfoFields(&object.NodeInfo{}))) {
		was, is := on.Both("status.nodeInfo."+name, "''")
		refused := expression.False
		if name == "operatingSystem" || name == "architecture" {
			refused = was + " != ''"
		}
		if on.Operation == expression.Create {
			refused = expression.False
		}
		if list, listed := cfg.Allowed[v1alpha1.NodeInfoField(name)]; listed {
			refused = expression.Or(refused, expression.Not(expression.Matches(is, list)))
		}
		changes = append(changes, expression.And(differs(was, is), refused))
	}
	if cfg.MachineChanges == v1alpha1.AccessDeny && on.Operation != expression.Create {
		for _, name := range []string{"machineID", "systemUUID"} {
			was, is := on.Both("status.nodeInfo."+name, "''")
			changes = append(changes, expression.And(was+" != ''", differs(was, is)))
		}
	}
	return []expression.Expression{
		when("status.nodeInfo", "must not change to this value", expression.Or(changes...)),
		when("metadata.labels", "must not contradict status.nodeInfo", expressPlatformLabels(on)),
	}
}

// expressPlatformLabels is [checkPlatformLabels] in CEL.
func expressPlatformLabels(on *expression.Scope) string {
	old, labels := on.Both("metadata.labels", "{}")
	var refused []string
	for _, platform := range []struct{ label, beta, field string }{
		{labelOS, betaLabelOS, "operatingSystem"}, {labelArch, betaLabelArch, "architecture"},
	} {
		was, is := on.Both("status.nodeInfo."+platform.field, "''")
		for _, key := range []string{platform.label, platform.beta} {
			value := labels + "[" + quote(key) + "]"
			contradicts := []string{
				is + " != ''", quote(key) + " in " + labels,
				expression.Not(expression.And(keepsEntry(old, labels, key), was+" == "+is)), differs(value, is),
			}
			if key == platform.beta {
				contradicts = append(contradicts, value+" != ''")
			}
			refused = append(refused, expression.And(contradicts...))
		}
	}
	return expression.Or(refused...)
}
