// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
	"noderestriction.plus/policy/pattern"
)

func mirrorPodPriorityClasses() policy.Rule {
	return policy.Rule{
		ID: "mirror-pod-priority-classes",
		Doc: policy.Doc{
			Title: "A mirror pod may have only an allowed priority class",
			Text: "A mirror pod of a high class keeps the scheduler from placing other pods on the node, and passes " +
				"for one that an administrator approved. With systemNamespaces it has a system class, or a priority of " +
				"2000000000 or more, only in the namespaces where the control plane runs.",
			Kubelet: "A kubelet copies the class of the manifest: system-node-critical for control planes, in kube-system or, with " +
				"OpenShift, in namespaces that begin with openshift-; often none.",
			Attack: "kubectl --kubeconfig kubelet.conf create -f mirror-pod-of-class-payments-critical.yaml",
			Spec:   "spec.mirrorPods.priorityClasses",
			Fields: []string{"spec.priorityClassName", "spec.priority"},
			Since:  "v0.1.0",
			Source: "kubernetes v1.37.2 plugin/pkg/admission/priority",
		},
		Targets: podCreations(),
		Agents:  kubeletsOnly(onlyKubeletsCreate),
		Note:    staticPodKeepsRunning,
		Compile: compileMirrorPodPriorityClasses,
		CEL:     exactly(expressMirrorPodPriorityClasses),
	}
}

func compileMirrorPodPriorityClasses(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) (policy.Check, field.ErrorList) {
	cfg := spec.MirrorPods.PriorityClasses
	if cfg == nil {
		return nil, nil
	}
	list := cfg.Allowed
	if list == nil {
		list = []v1alpha1.Pattern{"system-node-critical", "system-cluster-critical"}
	}
	at = at.Child("mirrorPods", "priorityClasses")
	allowed, errs := pattern.CompileAll(list, 32, at.Child("allowed"))
	namespaces, bad := pattern.CompileAll(cfg.SystemNamespaces, 64, at.Child("systemNamespaces"))
	return func(r *policy.Request) []policy.Violation {
		class, priority := r.Pod().PriorityClassName().New(), r.Pod().Priority().New()
		anywhere := len(namespaces) == 0 || namespaces.Match(r.Namespace)
		field, detail := "spec.priorityClassName", "must not have priority class "+text.Quote(class)
		switch {
		case class != "" && !allowed.Match(class):
		case !anywhere && strings.HasPrefix(class, systemClassPrefix):
			detail += " in namespace " + text.Quote(r.Namespace)
		case !anywhere && priority >= systemPriority:
			field, detail = "spec.priority", "must not have priority "+strconv.FormatInt(priority, 10)+" in namespace "+text.Quote(r.Namespace)
		default:
			return nil
		}
		return []policy.Violation{{Field: field, Detail: detail}}
	}, append(errs, bad...)
}

// The names and the priorities that Kubernetes reserves for its own classes. Source: kubernetes v1.37.2 pkg/apis/scheduling/types.go.
const (
	systemClassPrefix = "system-"
	systemPriority    = 2_000_000_000
)

func expressMirrorPodPriorityClasses(spec *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	cfg := spec.MirrorPods.PriorityClasses
	allowed := cfg.Allowed
	if allowed == nil {
		allowed = []v1alpha1.Pattern{"system-node-critical", "system-cluster-critical"}
	}
	class := on.New("spec.priorityClassName", "''")
	expressions := []expression.Expression{when("spec.priorityClassName", "must not have this priority class",
		expression.And(class+" != ''", expression.Not(expression.Matches(class, allowed))))}
	if len(cfg.SystemNamespaces) == 0 {
		return expressions
	}
	elsewhere := expression.Not(expression.Matches(on.Namespace(), cfg.SystemNamespaces))
	return append(expressions,
		when("spec.priorityClassName", "must not have a system class in this namespace",
			expression.And(elsewhere, class+".startsWith("+quote(systemClassPrefix)+")")),
		when("spec.priority", "must not have the priority of a system class in this namespace",
			expression.And(elsewhere, on.New("spec.priority", "0")+" >= "+strconv.Itoa(systemPriority))))
}
