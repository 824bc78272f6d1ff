// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
	"noderestriction.plus/policy/pattern"
)

func nodeTaints() policy.Rule {
	return policy.Rule{
		ID: "node-taints",
		Doc: policy.Doc{
			Title: "A kubelet may register only with the taints that a policy allows and requires, and not change them",
			Text: "Taints keep pods away from a node. A kubelet that registers again without its dedicated or start-up taint " +
				"gets pods that were never meant for it. The taint node.kubernetes.io/out-of-service, of any effect, promises " +
				"that the machine is off: once the Node is not ready, controllers delete its pods by force and detach its " +
				"volumes, which the machine still writes to when others mount them.",
			Kubelet: "A kubelet sets taints at registration only: those of --register-with-taints, and " +
				"node.cloudprovider.kubernetes.io/uninitialized with an external cloud provider. Only an administrator sets " +
				"node.kubernetes.io/out-of-service.",
			Attack: `kubectl --kubeconfig kubelet.conf create -f node-without-its-dedicated-taint.yaml`,
			Spec:   "spec.nodes.taints",
			Fields: []string{"spec.taints"},
			Since:  "v0.1.0",
			Source: "kubernetes v1.37.2 pkg/kubelet/kubelet_node_status.go, plugin/pkg/admission/nodetaint, " +
				"pkg/controller/podgc, pkg/controller/volume/attachdetach/reconciler",
		},
		Targets: nodeSpecWrites(),
		Agents:  sameForAgents(nodeSpecWrites()),
		Compile: compileNodeTaints,
		CEL:     stock(expressNodeTaints),
	}
}

func compileNodeTaints(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) (policy.Check, field.ErrorList) {
	cfg := spec.Nodes.Taints
	if cfg == nil {
		return nil, nil
	}
	at = at.Child("nodes", "taints")
	switch {
	case forAgents(spec):
		return compileAgentTaints(spec, at)
	case cfg.Removable != nil:
		return nil, field.ErrorList{field.Forbidden(at.Child("removable"), "must not be set without subjects: it is for node agents only")}
	}
	allowed, errs := compileTaints(cfg.Allowed, 64, at.Child("allowed"))
	required, bad := compileTaints(cfg.Required, 32, at.Child("required"))
	errs = append(errs, bad...)
	return func(r *policy.Request) []policy.Violation {
		old, taints := r.Node().Taints().Change()
		if r.Operation != admissionv1.Create {
			return compareSets(taintTexts(old), taintTexts(taints)).violations("spec.taints")
		}
		var refused, missing []string
		for i := range taints {
			switch t := &taints[i]; {
			case t.Key == corev1.TaintNodeOutOfService && !allowed.matchNamed(t) && !required.matchNamed(t),
				len(cfg.Allowed) > 0 && !isStockTaint(t) && !allowed.match(t) && !required.match(t):
				refused = append(refused, taintText(t))
			}
		}
		for _, want := range required {
			if !slices.ContainsFunc(taints, func(t corev1.Taint) bool { return want.match(&t) }) {
				missing = append(missing, want.text)
			}
		}
		vs := appendViolation(nil, "spec.taints", "must not have", refused)
		return appendViolation(vs, "spec.taints", "must have", missing)
	}, errs
}

// Of the taints that controllers set, only out-of-service needs more than a policy's lists. Those of conditions and of the cloud
// controller, such as node.kubernetes.io/unreachable, keep pods away or evict them, which an attacker can also have by being not ready,
// and their controllers remove them again when they do not hold. No controller deletes by force or detaches because of one of them.

// isStockTaint reports whether a taint is set at registration without --register-with-taints: the API server adds not-ready, and
// --cloud-provider=external adds uninitialized.
func isStockTaint(t *corev1.Taint) bool {
	return t.Effect == corev1.TaintEffectNoSchedule && slices.Contains(stockTaints(), t.Key)
}

func stockTaints() []string {
	return []string{"node.kubernetes.io/not-ready", "node.cloudprovider.kubernetes.io/uninitialized"}
}

// taintPattern is a compiled v1alpha1.TaintPattern.
type taintPattern struct {
	key, value pattern.Pattern // value nil: any value
	effect     corev1.TaintEffect
	text       string
}

type taintPatterns []taintPattern

func (ps taintPatterns) match(t *corev1.Taint) bool {
	return slices.ContainsFunc(ps, func(p taintPattern) bool { return p.match(t) })
}

// matchNamed is match without the patterns that match every key.
func (ps taintPatterns) matchNamed(t *corev1.Taint) bool {
	return slices.ContainsFunc(ps, func(p taintPattern) bool { return pattern.Patterns{p.key}.MatchNamed(t.Key) && p.match(t) })
}

func (p *taintPattern) match(t *corev1.Taint) bool {
	return p.key.Match(t.Key) && (p.value == nil || p.value.Match(t.Value)) && (p.effect == "" || p.effect == t.Effect)
}

func compileTaints(list []v1alpha1.TaintPattern, limit int, at *field.Path) (taintPatterns, field.ErrorList) {
	if errs := pattern.CheckList(list, limit, at); errs != nil {
		return nil, errs
	}
	var errs field.ErrorList
	var ps taintPatterns
	for i, source := range list {
		p := taintPattern{effect: source.Effect}
		p.text = taintText(&corev1.Taint{Key: string(source.Key), Value: string(source.Value), Effect: source.Effect})
		var bad field.ErrorList
		p.key, bad = pattern.Compile(source.Key, at.Index(i).Child("key"))
		errs = append(append(errs, bad...), checkKey(source.Key, at.Index(i).Child("key"))...)
		if source.Value != "" {
			p.value, bad = pattern.Compile(source.Value, at.Index(i).Child("value"))
			errs = append(errs, bad...)
		}
		errs = append(errs, pattern.CheckEnum(source.Effect, at.Index(i).Child("effect"),
			corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute)...)
		ps = append(ps, p)
	}
	return ps, errs
}

// taintText returns a taint as kubectl writes it, key=value:effect. It omits an empty value or effect with its separator.
func taintText(t *corev1.Taint) string {
	text := t.Key
	if t.Value != "" {
		text += "=" + t.Value
	}
	if t.Effect != "" {
		text += ":" + string(t.Effect)
	}
	return text
}

func taintTexts(taints []corev1.Taint) []string {
	texts := make([]string, len(taints))
	for i := range taints {
		texts[i] = taintText(&taints[i])
	}
	return texts
}

func expressNodeTaints(spec *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	cfg := spec.Nodes.Taints
	old, taints := on.Both("spec.taints", "[]")
	const text = "e.key + '=' + e.?value.orValue('') + ':' + e.?effect.orValue('')"
	if on.Operation != expression.Create {
		before, after := on.Define("oldTaints", bounded(on, old, text)), on.Define("newTaints", bounded(on, taints, text))
		names := expression.Sum(expression.Missing(after, before), expression.Missing(before, after))
		return []expression.Expression{
			named("spec.taints", "must not change", on.Within(expression.MaxItems, "taints", old, taints, names)),
		}
	}
	lists := slices.Concat(cfg.Allowed, cfg.Required)
	refused := []string{
		expression.And("e.key == "+quote(corev1.TaintNodeOutOfService), expression.Not(matchesTaint(forOutOfService(lists)))),
	}
	if len(cfg.Allowed) > 0 {
		stock := expression.And("e.?effect.orValue('') == 'NoSchedule'", expression.In("e.key", stockTaints()...))
		refused = append(refused, expression.Not(expression.Or(stock, matchesTaint(lists))))
	}
	names := expression.Texts(expression.Filter(taints, "e", expression.Or(refused...)), text)
	expressions := []expression.Expression{
		named("spec.taints", "must not have", on.Within(expression.MaxItems, "taints", old, taints, names)),
	}
	for _, required := range cfg.Required {
		has := expression.Exists(taints, "e", matchesTaint([]v1alpha1.TaintPattern{required}))
		expressions = append(expressions, when("spec.taints", "must have a taint that matches "+string(required.Key),
			on.Bounded(on.Longer(expression.MaxItems, taints), expression.Not(has))))
	}
	return expressions
}

// matchesTaint says in CEL that one of the patterns matches the taint e.
func matchesTaint(patterns []v1alpha1.TaintPattern) string {
	var either []string
	for _, p := range patterns {
		all := []string{expression.Matches("e.key", []v1alpha1.Pattern{p.Key})}
		if p.Value != "" {
			all = append(all, expression.Matches("e.?value.orValue('')", []v1alpha1.Pattern{p.Value}))
		}
		if p.Effect != "" {
			all = append(all, "e.?effect.orValue('') == "+quote(string(p.Effect)))
		}
		either = append(either, expression.And(all...))
	}
	return expression.Or(either...)
}

// forOutOfService returns the patterns that name the taint out-of-service, for a taint that is known to have this key.
func forOutOfService(lists []v1alpha1.TaintPattern) []v1alpha1.TaintPattern {
	var named []v1alpha1.TaintPattern
	for _, p := range lists {
		keys := expression.Named([]v1alpha1.Pattern{p.Key})
		compiled, errs := pattern.CompileAll(keys, 1, nil)
		if len(errs) == 0 && compiled.Match(corev1.TaintNodeOutOfService) {
			p.Key = "*"
			named = append(named, p)
		}
	}
	return named
}
