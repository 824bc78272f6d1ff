// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
	"noderestriction.plus/policy/pattern"
)

func nodeLabels() policy.Rule {
	return policy.Rule{
		ID: "node-labels",
		Doc: policy.Doc{
			Title: "A kubelet may give its Node only the labels that a policy allows",
			Text: "Labels steer workloads: a kubelet that labels its own Node draws pods to itself, with their secrets, and " +
				"one that takes another Node's hostname draws the pods bound to that Node's local volumes.",
			Kubelet: "At registration a kubelet sets its computed labels and those of --node-labels. Later it repairs its " +
				"computed labels, and the zone, region and instance type of --node-labels, and adds the topology keys of CSI " +
				"drivers. It removes none, unless --node-labels has it with an empty value.",
			Attack: `kubectl --kubeconfig kubelet.conf label node "$NODE" example.com/dedicated=pci`,
			Spec:   "spec.nodes.labels",
			Fields: []string{"metadata.labels"},
			Since:  "v0.1.0",
			Source: "kubernetes v1.37.2 pkg/kubelet/kubelet_node_status.go, plugin/pkg/admission/noderestriction",
		},
		Targets: nodeWrites(),
		Agents:  sameForAgents(nodeWrites()),
		Warn:    warnOfLabels,
		Compile: compileNodeLabels,
		CEL: policy.CEL{
			Kind: policy.Narrower, Strictest: `{"update":{"additions":"Listed"}}`, Express: expressNodeLabels,
			// A kubelet adds the topology keys of CSI drivers, which are the drivers' choice.
			Gate: `{}`,
			Why:  "with additions: CSI, a node ID of any driver lets a kubelet add labels, because CSIDrivers are a lookup",
			Differs: func(spec *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) bool {
				update := spec.Nodes.Labels.Update
				csi := update == nil || update.Additions != v1alpha1.AdditionsAny && update.Additions != v1alpha1.AdditionsListed
				return csi && on.Subresource == "status"
			},
		},
	}
}

func compileNodeLabels(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) (policy.Check, field.ErrorList) {
	cfg := spec.Nodes.Labels
	if cfg == nil {
		return nil, nil
	}
	at = at.Child("nodes", "labels")
	if forAgents(spec) {
		return compileAgentLabels(spec, at)
	}
	registration, errs := compileRegistrationLabels(cfg.Registration, at.Child("registration"))
	update, bad := compileUpdateLabels(cfg.Update, cfg.Registration, at.Child("update"))
	errs = append(errs, bad...)
	return func(r *policy.Request) []policy.Violation {
		var vs []policy.Violation
		if r.Operation == admissionv1.Create {
			vs = registration(r.Node().Labels().New())
		} else {
			vs = update(r)
		}
		return append(vs, checkHostname(r)...)
	}, errs
}

func compileRegistrationLabels(
	cfg *v1alpha1.NodeRegistrationLabels, at *field.Path,
) (func(map[string]string) []policy.Violation, field.ErrorList) {
	if cfg == nil {
		cfg = &v1alpha1.NodeRegistrationLabels{}
	}
	allowed, errs := pattern.CompileKeyValues(cfg.Allowed, 128, at.Child("allowed"))
	denied, bad := pattern.CompileKeyValues(cfg.Denied, 128, at.Child("denied"))
	errs = append(errs, bad...)
	required, bad := pattern.CompileKeyValues(cfg.Required, 32, at.Child("required"))
	errs = append(errs, bad...)
	compiles := len(errs) == 0
	errs = append(errs, checkReachable(cfg.Denied, 128, pattern.Labels(), at.Child("denied"))...)
	errs = append(errs, checkReachable(cfg.Required, 32, pattern.Labels(), at.Child("required"))...)
	listed := len(cfg.Allowed) > 0
	mayRegister := func(key, value string) bool {
		switch {
		case isComputedLabel(key):
			return true
		case denied.Match(key, value):
			return false
		case isReservedLabel(key):
			return allowed.MatchNamed(key, value)
		}
		return !listed || allowed.Match(key, value)
	}
	valueMatters := func(key string) bool { return allowed.ValueMatters(key) || denied.ValueMatters(key) }
	if compiles {
		errs = append(errs, checkRequired(cfg.Required, mayRegister, valueMatters, at.Child("required"))...)
	}
	return func(labels map[string]string) []policy.Violation {
		vs := comparePairs(nil, labels).except(mayRegister, valueMatters).violations("metadata.labels")
		return appendViolation(vs, "metadata.labels", "must have a label that matches", unmatched(required, cfg.Required, labels))
	}, errs
}

// unmatched returns the patterns that no label matches.
func unmatched(compiled pattern.KeyValues, source []v1alpha1.KeyValuePattern, labels map[string]string) []string {
	var missing []string
	for i, p := range compiled {
		found := false
		for key, value := range labels {
			found = found || p.Match(key, value)
		}
		if !found {
			missing = append(missing, string(source[i]))
		}
	}
	return missing
}

func compileUpdateLabels(
	cfg *v1alpha1.NodeUpdateLabels, registration *v1alpha1.NodeRegistrationLabels, at *field.Path,
) (policy.Check, field.ErrorList) {
	if cfg == nil {
		cfg = &v1alpha1.NodeUpdateLabels{}
	}
	allowed, errs := pattern.CompileKeyValues(cfg.Allowed, 128, at.Child("allowed"))
	errs = append(errs, pattern.CheckEnum(cfg.Additions, at.Child("additions"),
		v1alpha1.AdditionsAny, v1alpha1.AdditionsCSI, v1alpha1.AdditionsListed)...)
	pins, bad := compileLabelPins(cfg, registration, at)
	errs = append(errs, bad...)
	mayChange := func(key, value string) bool {
		return isReconciledLabel(key) || allowed.MatchNamed(key, value) || !isReservedLabel(key) && allowed.Match(key, value)
	}
	return func(r *policy.Request) []policy.Violation {
		changes := comparePairs(r.Node().Labels().Change())
		pinned := pins.take(&changes)
		unlisted := func(key string) bool { return !isReservedLabel(key) && !mayChange(key, changes.updated[key]) }
		if slices.ContainsFunc(changes.added, unlisted) && mayAddUnlisted(cfg.Additions, r) {
			changes.added = slices.DeleteFunc(changes.added, unlisted)
		}
		return changes.except(mayChange, allowed.ValueMatters).and(pinned).violations("metadata.labels")
	}, errs
}

// mayAddUnlisted reports whether this write may add labels that no pattern allows.
func mayAddUnlisted(additions v1alpha1.LabelAdditions, r *policy.Request) bool {
	switch additions {
	case v1alpha1.AdditionsAny:
		return true
	case v1alpha1.AdditionsListed:
		return false
	}
	return r.Subresource == "status" && hasCSIDriver(r)
}

// hasCSIDriver reports whether the Node has, after this write, the node ID of a driver that a CSIDriver names. A kubelet writes the ID
// together with the driver's topology labels, or only the labels that are missing if it has the ID already; the keys are the driver's
// choice. A kubelet can make up a driver, but cannot create a CSIDriver. If there is no CSIDriver, or they cannot be looked up, the driver
// is believed: a CSIDriver is optional, and a kubelet does not register a driver without its labels.
func hasCSIDriver(r *policy.Request) bool {
	var nodeIDs map[string]string
	if err := json.Unmarshal([]byte(r.Node().Annotations().New()[annotationCSINodeIDs]), &nodeIDs); err != nil || len(nodeIDs) == 0 {
		return false
	}
	names, err := r.CSIDriverNames()
	return err != nil || len(names) == 0 || slices.ContainsFunc(names, func(name string) bool { return nodeIDs[name] != "" })
}

// checkHostname allows a new kubernetes.io/hostname only if it is the name of the Node: a kubelet sets both from the same host name. Local
// volumes are bound to a Node by this label.
func checkHostname(r *policy.Request) []policy.Violation {
	old, updated := r.Node().Labels().Change()
	hostname, has := updated[labelHostname]
	before, had := old[labelHostname]
	if !has || had && hostname == before || strings.EqualFold(hostname, r.Node().Name().New()) {
		return nil
	}
	return []policy.Violation{{
		Field:  "metadata.labels",
		Detail: "must not set " + text.Quote(labelHostname) + " to " + text.Quote(hostname) + ", which is not the Node's name",
	}}
}

// labelPins are the changes of a registered Node's labels that a policy refuses, whatever else allows them.
type labelPins struct {
	fixed  pattern.KeyValues // may not be added, changed or removed
	denied pattern.KeyValues // at registration, so they may not come later either
	named  pattern.KeyValues // in update.allowed by their exact key, which takes precedence over denied
}

func compileLabelPins(
	cfg *v1alpha1.NodeUpdateLabels, registration *v1alpha1.NodeRegistrationLabels, at *field.Path,
) (labelPins, field.ErrorList) {
	var pins labelPins
	fixed, errs := pattern.CompileKeyValues(cfg.Fixed, 128, at.Child("fixed"))
	errs = append(errs, checkReachable(cfg.Fixed, 128, pattern.Labels(), at.Child("fixed"))...)
	pins.fixed = fixed
	if registration != nil {
		// Errors in denied are those of the registration, and errors in allowed those of the update.
		pins.denied, _ = pattern.CompileKeyValues(registration.Denied, 128, at)
	}
	named := slices.DeleteFunc(slices.Clone(cfg.Allowed), func(p v1alpha1.KeyValuePattern) bool {
		key, _, _ := strings.Cut(string(p), "=")
		return strings.Contains(key, "*")
	})
	pins.named, _ = pattern.CompileKeyValues(named, 128, at)
	return pins, errs
}

// take removes the changes that are refused from c, and returns them.
func (p *labelPins) take(c *pairChanges) keyChanges {
	var taken keyChanges
	c.added, taken.added = p.split(c.added, func(key string) (string, bool) {
		return c.updated[key], p.refusesNew(key, c.updated[key])
	})
	c.changed, taken.changed = p.split(c.changed, func(key string) (string, bool) {
		if p.fixes(key, c.old[key]) {
			return c.old[key], true
		}
		return c.updated[key], p.refusesNew(key, c.updated[key])
	})
	c.removed, taken.removed = p.split(c.removed, func(key string) (string, bool) {
		return c.old[key], isPermanentLabel(key) || p.fixes(key, c.old[key])
	})
	return taken
}

// split separates the keys that are refused because of a value. A key stands with that value, as key=value, if values of it matter.
func (p *labelPins) split(keys []string, refuses func(key string) (value string, refused bool)) (kept, refused []string) {
	for _, key := range keys {
		value, is := refuses(key)
		switch {
		case !is:
			kept = append(kept, key)
		case p.fixed.ValueMatters(key) || p.denied.ValueMatters(key):
			refused = append(refused, key+"="+value)
		default:
			refused = append(refused, key)
		}
	}
	return kept, refused
}

func (p *labelPins) fixes(key, value string) bool {
	return !isComputedLabel(key) && p.fixed.Match(key, value)
}

func (p *labelPins) refusesNew(key, value string) bool {
	return p.fixes(key, value) || !isComputedLabel(key) && p.denied.Match(key, value) && !p.named.Match(key, value)
}

func expressNodeLabels(spec *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	cfg := spec.Nodes.Labels
	old, labels := on.Both("metadata.labels", "{}")
	name := on.New("metadata.name", "''")
	hostname := labels + "[" + quote(labelHostname) + "]"
	host := when("metadata.labels", "must not set kubernetes.io/hostname to what is not the Node's name", expression.And(
		quote(labelHostname)+" in "+labels, expression.Not(keepsEntry(old, labels, labelHostname)),
		expression.Not(expression.SameFold(hostname, name))))
	registration, update := cfg.Registration, cfg.Update
	if registration == nil {
		registration = &v1alpha1.NodeRegistrationLabels{}
	}
	if update == nil {
		update = &v1alpha1.NodeUpdateLabels{}
	}
	if on.Operation == expression.Create {
		return append(expressRegistrationLabels(registration, on, labels), host)
	}
	mayAdd := mayAddUnlistedIn(update.Additions, on)
	names := expressUpdateLabels(registration, update, on, mayAdd)
	return []expression.Expression{named("metadata.labels", "must not change", names), host}
}

func expressRegistrationLabels(cfg *v1alpha1.NodeRegistrationLabels, on *expression.Scope, labels string) []expression.Expression {
	expressions := []expression.Expression{
		named("metadata.labels", "must not add", on.AddedPairs("{}", labels, func(key, value string) string {
			free := expression.True
			if len(cfg.Allowed) > 0 {
				free = expression.MatchesPair(key, value, cfg.Allowed)
			}
			return expression.Not(expression.Or(
				expression.In(key, computedLabels()...),
				expression.And(
					expression.Not(expression.MatchesPair(key, value, cfg.Denied)),
					expression.If(reservedLabelIn(key), expression.MatchesPair(key, value, expression.Named(cfg.Allowed)), free))))
		})),
	}
	for _, required := range cfg.Required {
		has := expression.MatchesPair("key", labels+"[key]", []v1alpha1.KeyValuePattern{required})
		expressions = append(expressions, when("metadata.labels", "must have a label that matches "+string(required), expression.And(
			expression.Not(on.Longer(expression.MaxKeys, labels)), expression.Not(expression.Exists(labels, "key", has)))))
	}
	return expressions
}

// expressUpdateLabels returns the labels that a write must not change, given when it may add labels that no pattern allows.
func expressUpdateLabels(
	registration *v1alpha1.NodeRegistrationLabels, cfg *v1alpha1.NodeUpdateLabels, on *expression.Scope, mayAdd string,
) string {
	old, labels := on.Both("metadata.labels", "{}")
	foreign := func(key string) string { return expression.Not(expression.In(key, computedLabels()...)) }
	fixed := func(key, value string) string {
		return expression.And(foreign(key), expression.MatchesPair(key, value, cfg.Fixed))
	}
	denied := func(key, value string) string {
		return expression.And(foreign(key), expression.MatchesPair(key, value, registration.Denied),
			expression.Not(expression.MatchesPair(key, value, expression.Exact(cfg.Allowed))))
	}
	mayChange := func(key, value string) string {
		return expression.Or(
			expression.In(key, reconciledLabels()...),
			expression.MatchesPair(key, value, expression.Named(cfg.Allowed)),
			expression.And(expression.Not(reservedLabelIn(key)), expression.MatchesPair(key, value, cfg.Allowed)))
	}
	return on.ChangedPairsBy(old, labels,
		func(key, value string) string {
			mayAdd := expression.And(mayAdd, "!("+key+" in "+old+")", expression.Not(reservedLabelIn(key)))
			return expression.Or(fixed(key, value), denied(key, value), expression.Not(expression.Or(mayAdd, mayChange(key, value))))
		},
		func(key, value string) string {
			permanent := expression.And(expression.In(key, permanentLabels()...), "!("+key+" in "+labels+")")
			return expression.Or(permanent, fixed(key, value), expression.Not(mayChange(key, value)))
		})
}

// mayAddUnlistedIn is [mayAddUnlisted] in CEL, where any driver is believed.
func mayAddUnlistedIn(additions v1alpha1.LabelAdditions, on *expression.Scope) string {
	switch additions {
	case v1alpha1.AdditionsAny:
		return expression.True
	case v1alpha1.AdditionsListed:
		return expression.False
	}
	if on.Subresource != "status" {
		return expression.False
	}
	return entry(on.New("metadata.annotations", "{}"), annotationCSINodeIDs, "''") + `.contains('"')`
}
