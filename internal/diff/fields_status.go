// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"noderestriction.plus/api/v1alpha1"
)

func nodeStatus() []comparison {
	type pattern = v1alpha1.Pattern
	return []comparison{
		nodeAddresses(),
		section("nodes.kubeletPorts", func(s *spec) *v1alpha1.NodeKubeletPorts { return s.Nodes.KubeletPorts },
			list[v1alpha1.NodeKubeletPorts, int32]{
				"allowed", func(p *v1alpha1.NodeKubeletPorts) []int32 { return p.Allowed }, ports(),
				omission[int32]{usualPorts(), "1024 to 65535 except 2379, 2380 and 6443"},
			}.allows()),
		section("nodes.conditions", func(s *spec) *v1alpha1.NodeConditions { return s.Nodes.Conditions },
			allowedPatterns("allowed", func(c *v1alpha1.NodeConditions) []pattern { return c.Allowed }, nothing[pattern]())),
		section("nodes.capacity", func(s *spec) *v1alpha1.NodeCapacity { return s.Nodes.Capacity }, compareCapacity),
		section("nodes.extendedResources", func(s *spec) *v1alpha1.NodeExtendedResources { return s.Nodes.ExtendedResources },
			list[v1alpha1.NodeExtendedResources, v1alpha1.ExtendedResource]{
				"allowed", func(r *v1alpha1.NodeExtendedResources) []v1alpha1.ExtendedResource { return r.Allowed }, extendedResources(),
				omission[v1alpha1.ExtendedResource]{says: "those the Node has"},
			}.allows()),
		section("nodes.images", func(s *spec) *v1alpha1.NodeImages { return s.Nodes.Images },
			most("maxCount", func(i *v1alpha1.NodeImages) int32 { return i.MaxCount }, 50),
			allowedPatterns("allowedRepositories", func(i *v1alpha1.NodeImages) []pattern { return i.AllowedRepositories }, anyPattern())),
		section("nodes.info", func(s *spec) *v1alpha1.NodeInfo { return s.Nodes.Info },
			compareInfo,
			access("machineChanges", func(i *v1alpha1.NodeInfo) v1alpha1.Access { return i.MachineChanges }, v1alpha1.AccessAllow)),
		section("nodes.volumes", func(s *spec) *v1alpha1.NodeVolumes { return s.Nodes.Volumes },
			most("maxInUse", func(v *v1alpha1.NodeVolumes) int32 { return v.MaxInUse }, 256)),
		toggle("nodes.reservedStatus", func(s *spec) *v1alpha1.NodeReservedStatus { return s.Nodes.ReservedStatus }),
		section("nodes.features", func(s *spec) *v1alpha1.NodeFeatures { return s.Nodes.Features },
			allowedPatterns("allowed", func(f *v1alpha1.NodeFeatures) []pattern { return f.Allowed }, anyPattern())),
		toggle("nodes.unknownFields", func(s *spec) *v1alpha1.NodeUnknownFields { return s.Nodes.UnknownFields }),
	}
}

func nodeAddresses() comparison {
	type T = v1alpha1.NodeAddresses
	return section("nodes.addresses", func(s *spec) *T { return s.Nodes.Addresses },
		list[T, v1alpha1.NodeAddressType]{
			"allowedTypes", func(a *T) []v1alpha1.NodeAddressType { return a.AllowedTypes }, equal[v1alpha1.NodeAddressType](),
			omission[v1alpha1.NodeAddressType]{[]v1alpha1.NodeAddressType{"InternalIP", "Hostname"}, "InternalIP, Hostname"},
		}.allows(),
		list[T, v1alpha1.CIDR]{"allowedCIDRs", func(a *T) []v1alpha1.CIDR { return a.AllowedCIDRs }, cidrs(), anyAddress()}.allows(),
		list[T, v1alpha1.CIDR]{"deniedCIDRs", func(a *T) []v1alpha1.CIDR { return a.DeniedCIDRs }, cidrs(), nothing[v1alpha1.CIDR]()}.denies(),
		access("ofOtherNodes", func(a *T) v1alpha1.Access { return a.OfOtherNodes }, v1alpha1.AccessAllow),
	)
}

// most compares the largest number that is allowed. Zero: omitted.
func most[T any, N int32 | int64](name string, get func(*T) N, omitted N) leaf[T] {
	return func(old, updated *T) []Change {
		was, is := get(old), get(updated)
		if was == is {
			return nil
		}
		text := func(n N) []string {
			if n == 0 {
				return []string{omittedText(strconv.FormatInt(int64(omitted), 10))}
			}
			return []string{strconv.FormatInt(int64(n), 10)}
		}
		given := func(n N) N {
			if n == 0 {
				return omitted
			}
			return n
		}
		return []Change{{
			Field: name, Effect: effectOf(given(is) > given(was), given(is) < given(was)), Old: text(was), New: text(is),
		}}
	}
}

// builtInCapacity returns the bounds of resources that a policy does not name.
func builtInCapacity() map[corev1.ResourceName]v1alpha1.Quantity {
	return map[corev1.ResourceName]v1alpha1.Quantity{"cpu": "4096", "memory": "64Ti", "pods": "10000", "ephemeral-storage": "1Pi"}
}

func compareCapacity(old, updated *v1alpha1.NodeCapacity) []Change {
	builtIn := builtInCapacity()
	return compareMaps("max", old.Max, updated.Max, func(name corev1.ResourceName, was, is *v1alpha1.Quantity) Change {
		// bound returns a bound, and its text. Nil: any quantity is allowed.
		bound := func(q *v1alpha1.Quantity) (*resource.Quantity, string) {
			if q != nil {
				n := resource.MustParse(string(*q)) // the policies are valid
				return &n, string(*q)
			}
			if q, has := builtIn[name]; has {
				n := resource.MustParse(string(q))
				return &n, omittedText(string(q))
			}
			return nil, omittedText("any")
		}
		before, oldText := bound(was)
		after, newText := bound(is)
		exceeds := func(a, b *resource.Quantity) bool { return b != nil && (a == nil || a.Cmp(*b) > 0) }
		return Change{Effect: effectOf(exceeds(after, before), exceeds(before, after)), Old: []string{oldText}, New: []string{newText}}
	})
}

func compareInfo(old, updated *v1alpha1.NodeInfo) []Change {
	return compareMaps("allowed", old.Allowed, updated.Allowed, func(_ v1alpha1.NodeInfoField, was, is *v1alpha1.PatternList) Change {
		get := func(p **v1alpha1.PatternList) []v1alpha1.Pattern { return *orEmpty(*p) }
		changes := allowedPatterns("", get, anyPattern())(&was, &is)
		if len(changes) == 0 { // the same in another order
			return Change{}
		}
		return changes[0]
	})
}

// compareMaps compares the values of two maps that differ. A value that is missing is nil.
func compareMaps[K ~string, V any](name string, old, updated map[K]V, compare func(K, *V, *V) Change) []Change {
	keys := map[K]bool{}
	for key := range old {
		keys[key] = true
	}
	for key := range updated {
		keys[key] = true
	}
	value := func(m map[K]V, key K) *V {
		if v, has := m[key]; has {
			return &v
		}
		return nil
	}
	var changes []Change
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		c := compare(key, value(old, key), value(updated, key))
		if c.Field = fmt.Sprintf("%s[%s]", name, key); !slices.Equal(c.Old, c.New) {
			changes = append(changes, c)
		}
	}
	return changes
}
