package policy

import (
	"net/netip"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
)

// compileCIDRs compiles a list of at most limit CIDRs.
func compileCIDRs(list []v1alpha1.CIDR, limit int, at *field.Path) ([]netip.Prefix, field.ErrorList) {
	if errs := checkLength(len(list), limit, at); errs != nil {
		return nil, errs
	}
	var errs field.ErrorList
	var cidrs []netip.Prefix
	for i, c := range list {
		prefix, err := netip.ParsePrefix(string(c))
		if err != nil {
			errs = append(errs, field.Invalid(at.Index(i), cut(string(c), maxQuoted), "must be a CIDR such as 10.0.0.0/8 or fd00::/8"))
			continue
		}
		cidrs = append(cidrs, prefix.Masked())
	}
	return cidrs, errs
}

// containsAddr reports whether one of the ranges contains the address. An IPv4 address in IPv6 form counts as IPv4; one with a
// zone is in no range.
func containsAddr(cidrs []netip.Prefix, addr netip.Addr) bool {
	addr = addr.Unmap()
	for _, c := range cidrs {
		if c.Contains(addr) {
			return true
		}
	}
	return false
}

// isRoutable reports whether an address can be one of another host: it is not loopback, link-local, multicast, unspecified or
// bound to a zone.
func isRoutable(addr netip.Addr) bool {
	addr = addr.Unmap()
	return addr.Zone() == "" && !addr.IsLoopback() && !addr.IsLinkLocalUnicast() && !addr.IsMulticast() && !addr.IsUnspecified()
}
