// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"net/netip"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
	"noderestriction.plus/policy/pattern"
)

func nodeAnnotations() policy.Rule {
	return policy.Rule{
		ID: "node-annotations",
		Doc: policy.Doc{
			Title: "A kubelet may give its Node only the annotations that it manages itself",
			Text: "Annotations are instructions to controllers: a kubelet can point a network plugin's tunnels and a cloud " +
				"controller's node address elsewhere, or keep an autoscaler from removing the node.",
			Kubelet: "A kubelet sets and removes volumes.kubernetes.io/controller-managed-attach-detach, " +
				"alpha.kubernetes.io/provided-node-ip and csi.volume.kubernetes.io/nodeid.",
			Attack: `kubectl --kubeconfig kubelet.conf annotate node "$NODE" ` +
				`cluster-autoscaler.kubernetes.io/scale-down-disabled=true`,
			Spec:   "spec.nodes.annotations",
			Fields: []string{"metadata.annotations"},
			Since:  "v0.1.0",
			Source: "kubernetes v1.37.2 pkg/kubelet/kubelet_node_status.go, pkg/kubelet/nodestatus/setters.go, " +
				"pkg/volume/csi/nodeinfomanager",
		},
		Targets: nodeWrites(),
		Agents:  sameForAgents(nodeWrites()),
		LooksUp: nodeAnnotationsLookUp,
		Warn: func(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) []string {
			if spec.Nodes.Annotations == nil {
				return nil
			}
			return warnUnreachable(spec.Nodes.Annotations.Allowed, pattern.Annotations(), at.Child("nodes", "annotations", "allowed"))
		},
		Compile: compileNodeAnnotations,
		CEL: policy.CEL{
			Kind: policy.Narrower, Strictest: `{}`, Gate: `{}`, Express: expressNodeAnnotations,
			Why: "whether another Node has the address of providedNodeIPOfOtherNodes: Deny is a lookup",
			Differs: func(spec *v1alpha1.NodeRestrictionPolicySpec, _ *expression.Scope) bool {
				return spec.Nodes.Annotations.ProvidedNodeIPOfOtherNodes == v1alpha1.AccessDeny
			},
		},
	}
}

const (
	defaultAnnotationBytes = 64 << 10
	minAnnotationBytes     = 1 << 10
	maxAnnotationBytes     = 256 << 10 // the API server's limit for all annotations of an object
)

func compileNodeAnnotations(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) (policy.Check, field.ErrorList) {
	cfg := spec.Nodes.Annotations
	if cfg == nil {
		return nil, nil
	}
	at = at.Child("nodes", "annotations")
	allowed, errs := pattern.CompileKeyValues(cfg.Allowed, 128, at.Child("allowed"))
	cidrs, bad := pattern.CompileCIDRs(cfg.ProvidedNodeIPCIDRs, 64, at.Child("providedNodeIPCIDRs"))
	errs = append(errs, bad...)
	errs = append(errs, pattern.CheckEnum(cfg.ProvidedNodeIPOfOtherNodes, at.Child("providedNodeIPOfOtherNodes"),
		v1alpha1.AccessAllow, v1alpha1.AccessDeny)...)
	limit := int(cfg.MaxTotalBytes)
	switch {
	case limit == 0:
		limit = defaultAnnotationBytes
	case limit < minAnnotationBytes || limit > maxAnnotationBytes:
		errs = append(errs, field.Invalid(at.Child("maxTotalBytes"), limit, "must be between 1024 and 262144"))
	}
	errs = append(errs, refuseForAgents(spec, at, setting{"providedNodeIPCIDRs", cfg.ProvidedNodeIPCIDRs != nil},
		setting{"providedNodeIPOfOtherNodes", cfg.ProvidedNodeIPOfOtherNodes != ""})...)
	isBuiltIn := func(key string) bool { return !forAgents(spec) && isKubeletAnnotation(key) }
	mayWrite := func(key, value string) bool { return isBuiltIn(key) || allowed.Match(key, value) }
	return func(r *policy.Request) []policy.Violation {
		old, updated := r.Node().Annotations().Change()
		vs := comparePairs(old, updated).except(mayWrite, allowed.ValueMatters).violations("metadata.annotations")
		vs = append(vs, checkProvidedNodeIP(cidrs, old, updated)...)
		if cfg.ProvidedNodeIPOfOtherNodes == v1alpha1.AccessDeny {
			added := missing(providedNodeIPs(updated), providedNodeIPs(old))
			vs = append(vs, othersAddresses(r, "metadata.annotations", added)...)
		}
		if size := totalSize(updated, mayWrite); size > limit && size > totalSize(old, mayWrite) {
			vs = append(vs, policy.Violation{
				Field: "metadata.annotations",
				Detail: "must not grow its annotations to " + strconv.Itoa(size) + " bytes, more than " +
					strconv.Itoa(limit),
			})
		}
		return vs
	}, errs
}

// providedNodeIPs returns the addresses in alpha.kubernetes.io/provided-node-ip.
func providedNodeIPs(annotations map[string]string) []string {
	value, has := annotations[annotationProvidedNodeIP]
	if !has {
		return nil
	}
	ips := strings.Split(value, ",")
	for i, ip := range ips {
		ips[i] = strings.TrimSpace(ip)
	}
	return ips
}

// checkProvidedNodeIP allows a new alpha.kubernetes.io/provided-node-ip, of one or two addresses, only in the given ranges.
func checkProvidedNodeIP(cidrs []netip.Prefix, old, updated map[string]string) []policy.Violation {
	value, has := updated[annotationProvidedNodeIP]
	if before, had := old[annotationProvidedNodeIP]; len(cidrs) == 0 || !has || had && before == value {
		return nil
	}
	for _, part := range providedNodeIPs(updated) {
		if addr, ok := pattern.ParseAddr(part); !ok || !pattern.ContainsAddr(cidrs, addr) {
			return []policy.Violation{{
				Field:  "metadata.annotations",
				Detail: "must not set " + text.Quote(annotationProvidedNodeIP) + " to " + text.Quote(value),
			}}
		}
	}
	return nil
}

// totalSize returns the size of the keys that count and of their values, in bytes.
func totalSize(annotations map[string]string, counts func(key, value string) bool) int {
	n := 0
	for key, value := range annotations {
		if counts(key, value) {
			n += len(key) + len(value)
		}
	}
	return n
}

func expressNodeAnnotations(spec *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	cfg := spec.Nodes.Annotations
	old, annotations := on.Both("metadata.annotations", "{}")
	mayWrite := func(key, value string) string {
		return expression.Or(expression.In(key, kubeletAnnotations()...), expression.MatchesPair(key, value, cfg.Allowed))
	}
	limit := int(cfg.MaxTotalBytes)
	if limit == 0 {
		limit = defaultAnnotationBytes
	}
	total := func(of string) string {
		if of == "{}" {
			return "0"
		}
		return expression.Filter(of, "key", mayWrite("key", of+"[key]")) + ".map(key, size(bytes(key)) + size(bytes(" + of + "[key]))).sum()"
	}
	size := total(annotations)
	return []expression.Expression{
		named("metadata.annotations", "must not change", on.ChangedPairs(old, annotations, func(key, value string) string {
			return expression.Not(mayWrite(key, value))
		})),
		when("metadata.annotations", "must not set this alpha.kubernetes.io/provided-node-ip", expressProvidedNodeIP(cfg, on)),
		when("metadata.annotations", "must not grow its annotations beyond "+strconv.Itoa(limit)+" bytes", expression.And(
			expression.Changed(old, annotations), expression.Not(on.Longer(expression.MaxKeys, old, annotations)),
			size+" > "+strconv.Itoa(limit), size+" > "+total(old))),
	}
}

// expressProvidedNodeIP is [checkProvidedNodeIP] in CEL.
func expressProvidedNodeIP(cfg *v1alpha1.NodeAnnotations, on *expression.Scope) string {
	old, annotations := on.Both("metadata.annotations", "{}")
	if len(cfg.ProvidedNodeIPCIDRs) == 0 {
		return expression.False
	}
	value := annotations + "[" + quote(annotationProvidedNodeIP) + "]"
	outside := expression.Not(expression.And(expression.IsIP("part.trim()"), expression.InCIDRs("part.trim()", cfg.ProvidedNodeIPCIDRs)))
	return expression.And(
		quote(annotationProvidedNodeIP)+" in "+annotations, expression.Not(keepsEntry(old, annotations, annotationProvidedNodeIP)),
		on.Bounded(larger(value, expression.MaxText), expression.Exists(value+".split(',')", "part", outside)))
}
