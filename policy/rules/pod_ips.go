// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
	"noderestriction.plus/policy/object"
	"noderestriction.plus/policy/pattern"
)

func podIPs() policy.Rule {
	return policy.Rule{
		ID: "pod-ips",
		Doc: policy.Doc{
			Title: "A kubelet may report only allowed addresses for pods",
			Text: "An EndpointSlice copies the addresses of a Service's ready pods. A kubelet that reports any " +
				"address for a pod of its own sends the Service's traffic there.",
			Kubelet: "A kubelet reports the addresses that the network plugin gave the pod, those of the host for pods " +
				"on its network, and the host's own.",
			Attack: "curl -X PATCH -H 'Content-Type: application/merge-patch+json' .../pods/$POD/status -d " +
				`'{"status":{"podIP":"192.0.2.1","podIPs":[{"ip":"192.0.2.1"}]}}'`,
			Spec:   "spec.pods.ips",
			Fields: []string{"status.podIP", "status.podIPs", "status.hostIP", "status.hostIPs"},
			Since:  "v0.1.0",
			Source: "kubernetes v1.37.2 staging/src/k8s.io/endpointslice/utils.go; pkg/kubelet/kubelet_pods.go",
		},
		Targets: podStatusWrites(),
		Agents:  sameForAgents(podStatusWrites()),
		LooksUp: podIPsLookUp,
		Compile: compilePodIPs,
		CEL: policy.CEL{
			Kind: policy.Narrower, Strictest: `{}`, Gate: `{}`, Express: expressPodIPs,
			Why: "the ranges of from, and whether another Node has the address with ofOtherNodes: Deny, are lookups",
			Differs: func(spec *v1alpha1.NodeRestrictionPolicySpec, _ *expression.Scope) bool {
				looksUp := func(r *v1alpha1.AddressRanges) bool {
					return r != nil && (r.From != "" || r.OfOtherNodes == v1alpha1.AccessDeny)
				}
				return looksUp(spec.Pods.IPs.PodIPs) || looksUp(spec.Pods.IPs.HostIPs)
			},
		},
	}
}

func compilePodIPs(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) (policy.Check, field.ErrorList) {
	cfg := spec.Pods.IPs
	if cfg == nil {
		return nil, nil
	}
	at = at.Child("pods", "ips")
	if forAgents(spec) {
		return frozen("status", "podIP", "podIPs", "hostIP", "hostIPs"),
			refuseForAgents(spec, at, setting{"podIPs", cfg.PodIPs != nil}, setting{"hostIPs", cfg.HostIPs != nil})
	}
	podRanges, errs := compileRanges(cfg.PodIPs, at.Child("podIPs"))
	hostRanges, bad := compileRanges(cfg.HostIPs, at.Child("hostIPs"))
	errs = append(errs, bad...)
	return func(r *policy.Request) []policy.Violation {
		pod := r.Pod()
		var vs []policy.Violation
		if added := addedIPs(pod.HostIP(), pod.HostIPs()); len(added) > 0 {
			vs = hostRanges.check(r, "status.hostIPs", "host IP", added)
		}
		added := addedIPs(pod.PodIP(), pod.PodIPs())
		if len(added) == 0 {
			return vs
		}
		ranges := podRanges
		if pod.HostNetwork().Old() {
			ranges = hostRanges
		}
		return append(vs, ranges.check(r, "status.podIPs", "pod IP", added)...)
	}, errs
}

// addressRanges is a compiled v1alpha1.AddressRanges.
type addressRanges struct {
	cidrs     []netip.Prefix
	from      v1alpha1.AddressSource
	notOthers bool
}

func compileRanges(source *v1alpha1.AddressRanges, at *field.Path) (addressRanges, field.ErrorList) {
	if source == nil {
		return addressRanges{}, nil
	}
	cidrs, errs := pattern.CompileCIDRs(source.AllowedCIDRs, 64, at.Child("allowedCIDRs"))
	errs = append(errs, pattern.CheckEnum(source.From, at.Child("from"), v1alpha1.FromNodePodCIDRs, v1alpha1.FromNodeAddresses)...)
	errs = append(errs, pattern.CheckEnum(source.OfOtherNodes, at.Child("ofOtherNodes"), v1alpha1.AccessAllow, v1alpha1.AccessDeny)...)
	return addressRanges{cidrs, source.From, source.OfOtherNodes == v1alpha1.AccessDeny}, errs
}

// check returns violations for added addresses that are in no range, that are not routable, or that belong to another Node.
func (a addressRanges) check(r *policy.Request, field, what string, added []string) []policy.Violation {
	cidrs := a.cidrs
	if a.from != "" {
		own, err := nodeRanges(r, a.from)
		if err != nil {
			return []policy.Violation{{Field: field, Detail: "must report a known " + what + ", but the Node could not be looked up"}}
		}
		cidrs = slices.Concat(cidrs, own)
	}
	refused := without(added, func(text string) bool {
		ip, ok := pattern.ParseAddr(text)
		return ok && pattern.IsRoutable(ip) && (len(cidrs) == 0 || pattern.ContainsAddr(cidrs, ip))
	})
	vs := appendViolation(nil, field, "must not report "+what, refused)
	if a.notOthers {
		vs = append(vs, othersAddresses(r, field, missing(added, refused))...)
	}
	return vs
}

// nodeRanges returns the pod CIDRs or the addresses of the kubelet's stored Node.
func nodeRanges(r *policy.Request, from v1alpha1.AddressSource) ([]netip.Prefix, error) {
	node, found, err := r.LookUpNodeObject(r.NodeName)
	if err != nil || !found {
		return nil, err
	}
	var ranges []netip.Prefix
	if from == v1alpha1.FromNodePodCIDRs {
		for _, text := range node.Spec.PodCIDRs {
			if prefix, err := netip.ParsePrefix(text); err == nil {
				ranges = append(ranges, prefix.Masked())
			}
		}
		return ranges, nil
	}
	for _, address := range node.Status.Addresses {
		if ip, err := netip.ParseAddr(address.Address); err == nil {
			ranges = append(ranges, netip.PrefixFrom(ip.Unmap(), ip.Unmap().BitLen()))
		}
	}
	return ranges, nil
}

// addedIPs returns the addresses that an update adds to a part with one address or a part with a list. An address may be in both.
func addedIPs(first object.Part[string], list object.Part[[]object.IP]) []string {
	if !first.Changed() && !list.Changed() {
		return nil
	}
	return compareSets(allIPs(first.Old(), list.Old()), allIPs(first.New(), list.New())).added
}

// allIPs returns an address and those of a list, without empty ones.
func allIPs(first string, list []object.IP) []string {
	ips := []string{first}
	for _, ip := range list {
		ips = append(ips, ip.IP)
	}
	return without(ips, func(ip string) bool { return ip == "" })
}

func expressPodIPs(spec *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	cfg := spec.Pods.IPs
	oldHosts, hosts := allIPsIn(on, "host", on.Old, "old"), allIPsIn(on, "host", on.New, "new")
	oldPods, pods := allIPsIn(on, "pod", on.Old, "old"), allIPsIn(on, "pod", on.New, "new")
	outOf := func(ranges *v1alpha1.AddressRanges) func(string) string {
		return func(ip string) string {
			in := expression.True
			if ranges != nil && len(ranges.AllowedCIDRs) > 0 && ranges.From == "" {
				in = expression.InCIDRs(ip, ranges.AllowedCIDRs)
			}
			return expression.Not(expression.And(expression.IsIP(ip), expression.IsRoutable(ip), in))
		}
	}
	onHost := on.Old("spec.hostNetwork", "false")
	added := on.AddedItems(oldPods, pods, func(ip string) string {
		return expression.If(onHost, outOf(cfg.HostIPs)(ip), outOf(cfg.PodIPs)(ip))
	})
	return []expression.Expression{
		named("status.hostIPs", "must not report host IP", on.AddedItems(oldHosts, hosts, outOf(cfg.HostIPs))),
		named("status.podIPs", "must not report pod IP", added),
	}
}

// allIPsIn is [allIPs] in CEL, of the pod or its host.
func allIPsIn(on *expression.Scope, what string, field func(path, missing string) string, which string) string {
	first, list := field("status."+what+"IP", "''"), field("status."+what+"IPs", "[]")
	ips := "([" + first + "] + " + list + ".map(e, e.?ip.orValue(''))).filter(ip, ip != '')"
	// A longer list keeps its length.
	all := expression.If(on.Longer(expression.MaxItems, list), list, ips)
	return on.Define(which+strings.ToUpper(what[:1])+what[1:]+"Addresses", all)
}
