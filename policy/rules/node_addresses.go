// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
	"noderestriction.plus/policy/pattern"
)

func nodeAddresses() policy.Rule {
	return policy.Rule{
		ID: "node-addresses",
		Doc: policy.Doc{
			Title: "A kubelet may report only addresses of allowed types and ranges",
			Text: "The API server connects to a Node's addresses for logs, exec and proxying, and approvers of " +
				"serving certificates compare with them. A kubelet that reports another's address has the API " +
				"server's credentials and users' sessions sent there. A Node without addresses is unreachable for logs and " +
				"exec, and its addresses are free for other Nodes.",
			Kubelet: "A kubelet reports InternalIPs and its own name as Hostname; with an external cloud provider only " +
				"until the Node has addresses. It may remove some, but a Node that has IP addresses keeps one.",
			Attack: "curl -X PATCH -H 'Content-Type: application/merge-patch+json' .../api/v1/nodes/$NODE/status -d " +
				`'{"status":{"addresses":[{"type":"InternalIP","address":"127.0.0.1"}]}}'`,
			Spec:   "spec.nodes.addresses",
			Fields: []string{"status.addresses"},
			Since:  "v0.1.0",
			Source: "kubernetes v1.37.2 pkg/kubelet/nodestatus/setters.go, pkg/kubelet/client; CVE-2022-3294",
		},
		Targets: nodeStatusWrites(),
		Agents:  sameForAgents(nodeStatusWrites()),
		LooksUp: nodeAddressesLookUp,
		Compile: compileNodeAddresses,
		CEL: policy.CEL{
			Kind: policy.Narrower, Strictest: `{}`, Gate: `{}`, Express: expressNodeAddresses,
			Why: "whether another Node has the address, with ofOtherNodes: Deny, is a lookup",
			Differs: func(spec *v1alpha1.NodeRestrictionPolicySpec, _ *expression.Scope) bool {
				return spec.Nodes.Addresses.OfOtherNodes == v1alpha1.AccessDeny
			},
		},
	}
}

func compileNodeAddresses(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) (policy.Check, field.ErrorList) {
	cfg := spec.Nodes.Addresses
	if cfg == nil {
		return nil, nil
	}
	at = at.Child("nodes", "addresses")
	types := cfg.AllowedTypes
	if len(types) == 0 && !forAgents(spec) {
		types = []v1alpha1.NodeAddressType{"InternalIP", "Hostname"}
	}
	if errs := pattern.CheckList(cfg.AllowedTypes, 5, at.Child("allowedTypes")); errs != nil {
		return nil, errs
	}
	var errs field.ErrorList
	for i, t := range cfg.AllowedTypes {
		errs = append(errs, pattern.CheckEnum(t, at.Child("allowedTypes").Index(i),
			"InternalIP", "ExternalIP", "Hostname", "InternalDNS", "ExternalDNS")...)
	}
	allowed, bad := pattern.CompileCIDRs(cfg.AllowedCIDRs, 64, at.Child("allowedCIDRs"))
	errs = append(errs, bad...)
	denied, bad := pattern.CompileCIDRs(cfg.DeniedCIDRs, 64, at.Child("deniedCIDRs"))
	errs = append(errs, bad...)
	errs = append(errs, pattern.CheckEnum(cfg.OfOtherNodes, at.Child("ofOtherNodes"), v1alpha1.AccessAllow, v1alpha1.AccessDeny)...)
	if len(errs) == 0 {
		errs = checkSomeAddress(allowed, denied, at.Child("allowedCIDRs"))
	}
	mayReport := func(a corev1.NodeAddress, node string) bool {
		switch {
		case !slices.Contains(types, v1alpha1.NodeAddressType(a.Type)):
			return false
		case a.Type == corev1.NodeHostName:
			return strings.EqualFold(a.Address, node)
		case a.Type == corev1.NodeInternalDNS || a.Type == corev1.NodeExternalDNS:
			return true
		}
		ip, ok := pattern.ParseAddr(a.Address)
		return ok && pattern.IsRoutable(ip) && (len(allowed) == 0 || pattern.ContainsAddr(allowed, ip)) &&
			!pattern.ContainsAddr(denied, ip)
	}
	return func(r *policy.Request) []policy.Violation {
		before, after := r.Node().Addresses().Change()
		vs := checkReachableNode(before, after)
		old := make(map[corev1.NodeAddress]bool, len(before))
		for _, a := range before {
			old[a] = true
		}
		var refused, added []string
		for _, a := range after {
			switch {
			case old[a]:
			case !mayReport(a, r.Node().Name().New()):
				refused = append(refused, string(a.Type)+" "+a.Address)
			default:
				added = append(added, a.Address)
			}
		}
		if forAgents(spec) {
			vs = appendViolation(vs, "status.addresses", "must not remove", removedOf(before, after, types))
		}
		vs = appendViolation(vs, "status.addresses", "must not report", refused)
		if cfg.OfOtherNodes != v1alpha1.AccessDeny {
			return vs
		}
		return append(vs, othersAddresses(r, "status.addresses", added)...)
	}, errs
}

// removedOf returns the addresses that a write removes, and that are of none of the types.
func removedOf(before, after []corev1.NodeAddress, types []v1alpha1.NodeAddressType) []string {
	kept := make(map[corev1.NodeAddress]bool, len(after))
	for _, a := range after {
		kept[a] = true
	}
	var removed []string
	for _, a := range before {
		if !kept[a] && !slices.Contains(types, v1alpha1.NodeAddressType(a.Type)) {
			removed = append(removed, string(a.Type)+" "+a.Address)
		}
	}
	return removed
}

// checkReachableNode refuses to remove all addresses, or all IP addresses. A kubelet that cannot determine its addresses leaves them as
// they are.
func checkReachableNode(before, after []corev1.NodeAddress) []policy.Violation {
	switch {
	case len(before) > 0 && len(after) == 0:
		return []policy.Violation{{Field: "status.addresses", Detail: "must not remove all addresses"}}
	case slices.ContainsFunc(before, isIP) && !slices.ContainsFunc(after, isIP):
		return []policy.Violation{{Field: "status.addresses", Detail: "must not remove all IP addresses"}}
	}
	return nil
}

func isIP(a corev1.NodeAddress) bool {
	return a.Type == corev1.NodeInternalIP || a.Type == corev1.NodeExternalIP
}

// othersAddresses returns a violation if another Node reports one of the addresses. It skips names.
func othersAddresses(r *policy.Request, field string, added []string) []policy.Violation {
	var refused []string
	for _, text := range added {
		ip, err := netip.ParseAddr(text)
		if err != nil {
			continue
		}
		switch others, err := r.IsOfAnotherNode(ip); {
		case err != nil:
			return []policy.Violation{{Field: field, Detail: "must not report an address of another Node, but they could not be looked up"}}
		case others:
			refused = append(refused, text)
		}
	}
	return appendViolation(nil, field, "must not report the address of another Node", refused)
}

func expressNodeAddresses(spec *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	cfg := spec.Nodes.Addresses
	old, addresses := on.Both("status.addresses", "[]")
	types := cfg.AllowedTypes
	if len(types) == 0 {
		types = []v1alpha1.NodeAddressType{"InternalIP", "Hostname"}
	}
	inAllowed := expression.True
	if len(cfg.AllowedCIDRs) > 0 {
		inAllowed = expression.InCIDRs("e.address", cfg.AllowedCIDRs)
	}
	ip := expression.And(expression.IsIP("e.address"), expression.IsRoutable("e.address"), inAllowed,
		expression.Not(expression.InCIDRs("e.address", cfg.DeniedCIDRs)))
	mayReport := expression.And(expression.In("e.type", types...), expression.If("e.type == 'Hostname'",
		expression.SameFold("e.address", on.New("metadata.name", "''")),
		expression.Or("e.type in ['InternalDNS', 'ExternalDNS']", ip)))
	refused := expression.Filter(addresses, "e", expression.And(expression.Absent("e", old), expression.Not(mayReport)))
	expressions := []expression.Expression{named("status.addresses", "must not report", on.Within(expression.MaxAddresses,
		"addresses", old, addresses, expression.Texts(refused, "e.type + ' ' + e.address")))}
	if on.Operation == expression.Create {
		return expressions
	}
	const isIP = "e.type in ['InternalIP', 'ExternalIP']"
	bounded := expression.Not(on.Longer(expression.MaxAddresses, old, addresses))
	return append(expressions,
		when("status.addresses", "must not remove all addresses", expression.And(expression.NotEmpty(old), "size("+addresses+") == 0")),
		when("status.addresses", "must not remove all IP addresses", expression.And(
			bounded, expression.Exists(old, "e", isIP), expression.Not(expression.Exists(addresses, "e", isIP)))))
}
