// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package expression

import (
	"net/netip"
)

// InCIDRs says that an address, which [IsIP] is true for, is in one of the ranges.
func InCIDRs[C ~string](address string, cidrs []C) string {
	var masked []string
	for _, c := range cidrs {
		// No address is in a range of IPv4-mapped addresses.
		if prefix, err := netip.ParsePrefix(string(c)); err == nil && !prefix.Addr().Is4In6() {
			masked = append(masked, prefix.Masked().String())
		}
	}
	if len(masked) == 0 {
		return False
	}
	return List(masked...) + ".exists(c, cidr(c).containsIP(" + address + "))"
}

// IsIP says that a text is an address without a zone that is not IPv4-mapped.
func IsIP(text string) string { return "isIP(" + text + ")" }

// IsRoutable says that an address, which [IsIP] is true for, may belong to another host.
func IsRoutable(address string) string {
	return Or("ip("+address+").isGlobalUnicast()", address+" == '255.255.255.255'")
}

// IsQuantity says that a text is a quantity that is cheap to parse.
func IsQuantity(text string) string {
	return And("size("+text+") <= 64", "!"+text+".matches('[eE][+-]*[0-9]{4,}$')", "isQuantity("+text+")")
}

// AtMost says that a text is at most another one, both quantities.
func AtMost(text, limit string) string {
	return "quantity(" + text + ").compareTo(quantity(" + limit + ")) <= 0"
}

// GrownQuantities returns the keys of quantities that are new or greater than before and not allowed, or that cannot be read.
func (s *Scope) GrownQuantities(old, updated string, allowed func(key, text string) string) string {
	return s.AddedPairs(old, updated, func(key, text string) string {
		may := []string{allowed(key, text)}
		if old != "{}" {
			before := old + "[" + key + "]"
			may = append(may, And(key+" in "+old, IsQuantity(before), AtMost(text, before)))
		}
		return Not(And(IsQuantity(text), Or(may...)))
	})
}

// SameFold says that two texts are the same, apart from upper and lower case.
func SameFold(a, b string) string { return a + ".lowerAscii() == " + b + ".lowerAscii()" }

// CleanPath returns an absolute path with a slash at its end and without empty segments and those of one dot.
func CleanPath(path string) string {
	return "('/' + " + path + ".split('/').filter(s, s != '' && s != '.').join('/') + '/')"
}

// ChangedFields returns the names of the fields that differ between two objects, except those for which ignored is true.
func ChangedFields(old, updated string, ignored func(name string) string) string {
	return Sum(
		Filter(updated, "key", And(Not(ignored("key")), "!(key in "+old+" && "+old+"[key] == "+updated+"[key])")),
		Filter(old, "key", And(Not(ignored("key")), "!(key in "+updated+")")))
}
