// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
	"noderestriction.plus/policy/object"
)

func baselineNodes() policy.Rule {
	return policy.Rule{
		ID: "baseline-nodes",
		Doc: policy.Doc{
			Title: "A kubelet may write its own Node only, and not its taints, owners or reserved labels",
			Text: "Without this a kubelet writes every Node of the cluster: one stolen credential takes over the labels, " +
				"addresses and health of all.",
			Kubelet: "A kubelet writes the Node of its name, registers with taints and never changes them.",
			Attack:  `kubectl --kubeconfig kubelet.conf label node "$NODE" node-restriction.kubernetes.io/pci=true`,
			Spec:    baselineSpec,
			Fields: []string{
				"metadata.name", "metadata.labels", "metadata.ownerReferences", "spec.taints", "spec.configSource",
			},
			Since:  "v0.1.0",
			Source: baselineSource + " (admitNode)",
		},
		OptIn:   true,
		Targets: baselineWrites("nodes"),
		Agents:  kubeletsOnly(onlyPlugin),
		Compile: compileBaselineNodes,
		CEL:     exactly(expressBaselineNodes),
	}
}

// compileBaselineNodes also validates the list of resources, so that an error in the list is reported once.
func compileBaselineNodes(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) (policy.Check, field.ErrorList) {
	errs := checkBaselineResources(spec.Baseline, at.Child("baseline", "resources"))
	check, _ := compileBaseline(v1alpha1.BaselineNodes, checkBaselineNode)(spec, at)
	return check, errs
}

func checkBaselineNode(r *policy.Request) []policy.Violation {
	switch {
	case r.Name != r.NodeName:
		return onlyViolation("metadata.name", "must not write Node "+text.Quote(r.Name))
	case r.Operation == admissionv1.Delete:
		return nil
	}
	node := r.Node()
	var vs []policy.Violation
	if changesConfigSource(node) {
		vs = append(vs, policy.Violation{Field: "spec.configSource", Detail: "must not set a config source"})
	}
	if r.Operation == admissionv1.Update {
		// Like the plugin, check updates only: a kubelet may register with taints, and even with owners.
		if old, updated := node.Taints().Change(); !equality.Semantic.DeepEqual(old, updated) {
			vs = append(vs, policy.Violation{Field: "spec.taints", Detail: "must not change taints"})
		}
		if old, updated := node.OwnerReferences().Change(); !equality.Semantic.DeepEqual(old, updated) {
			vs = append(vs, policy.Violation{Field: "metadata.ownerReferences", Detail: "must not change owners"})
		}
	}
	free := func(key string) bool { return !isReservedLabel(key) }
	return append(vs, compareKeys(node.Labels().Change()).except(free).violationsOf("metadata.labels", "label")...)
}

// changesConfigSource reports whether a config source is set or changed. An old kubelet may remove it.
func changesConfigSource(node *object.Node) bool {
	old, updated := node.OtherSpec()
	source := updated["configSource"]
	if len(source) == 0 || string(source) == "null" {
		return false
	}
	before, _ := decoded[corev1.NodeConfigSource](old["configSource"])
	after, ok := decoded[corev1.NodeConfigSource](source)
	return !ok || !equality.Semantic.DeepEqual(before, after)
}

func expressBaselineNodes(_ *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	name := differs(on.Name(), on.NodeName())
	expressions := []expression.Expression{when("metadata.name", "must not write another Node", expression.And(on.InNodesGroup(), name))}
	if on.Operation == expression.Delete {
		return expressions
	}
	old, labels := on.Both("metadata.labels", "{}")
	oldSource, source := on.Both("spec.configSource", "null")
	changed := []string{source + " != null"}
	if on.Operation == expression.Update {
		changed[0] = expression.And(changed[0], differs(oldSource, source))
		changed = append(changed, differs(on.Both("spec.taints", "[]")), differs(on.Both("metadata.ownerReferences", "[]")))
	}
	reserved := on.ChangedKeys(old, labels, reservedLabelIn)
	return append(expressions,
		when("spec", "must not change a config source, taints or owners", expression.And(on.InNodesGroup(), expression.Or(changed...))),
		named("metadata.labels", "must not change label", expression.If(on.InNodesGroup(), reserved, expression.None)))
}
