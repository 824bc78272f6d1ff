// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package pattern

import (
	"net/netip"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/text"
)

// CompileCIDRs compiles a list of at most limit CIDRs. Each error has its path under at. A range of IPv4-mapped IPv6 addresses is an
// error, as for the API server's CEL.
func CompileCIDRs(list []v1alpha1.CIDR, limit int, at *field.Path) ([]netip.Prefix, field.ErrorList) {
	if errs := CheckList(list, limit, at); errs != nil {
		return nil, errs
	}
	var errs field.ErrorList
	var cidrs []netip.Prefix
	for i, c := range list {
		prefix, err := netip.ParsePrefix(string(c))
		if err != nil || prefix.Addr().Is4In6() {
			errs = append(errs, field.Invalid(at.Index(i), text.Cut(string(c), text.MaxQuoted), "must be a CIDR such as 10.0.0.0/8 or fd00::/8"))
			continue
		}
		cidrs = append(cidrs, prefix.Masked())
	}
	return cidrs, errs
}

// ParseAddr parses an address. It returns false for other texts, and for an IPv4-mapped IPv6 address: no kubelet writes these, and CEL does
// not take them for addresses.
func ParseAddr(text string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(text)
	return addr, err == nil && !addr.Is4In6()
}

// ContainsAddr reports whether one of the ranges contains the address. An IPv4-mapped IPv6 address counts as IPv4. An address with a zone
// is in no range.
func ContainsAddr(cidrs []netip.Prefix, addr netip.Addr) bool {
	addr = addr.Unmap()
	for _, c := range cidrs {
		if c.Contains(addr) {
			return true
		}
	}
	return false
}

// IsRoutable reports whether an address may belong to another host: it is not loopback, link-local, multicast or unspecified, and has no
// zone.
func IsRoutable(addr netip.Addr) bool {
	addr = addr.Unmap()
	return addr.Zone() == "" && !addr.IsLoopback() && !addr.IsLinkLocalUnicast() && !addr.IsMulticast() && !addr.IsUnspecified()
}
