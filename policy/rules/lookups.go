// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
)

// baselineLooksUp is LooksUp of the baseline rules that compare the UID of the kubelet's Node.
func baselineLooksUp(spec *v1alpha1.NodeRestrictionPolicySpec) policy.Lookups {
	if spec.Baseline == nil {
		return 0
	}
	return policy.LooksUpNodes
}

// csiNodesLookUp is LooksUp of csi-nodes, which compares owners with the UID of the kubelet's Node.
func csiNodesLookUp(spec *v1alpha1.NodeRestrictionPolicySpec) policy.Lookups {
	if spec.CSINodes == nil {
		return 0
	}
	return policy.LooksUpNodes
}

func nodeAddressesLookUp(spec *v1alpha1.NodeRestrictionPolicySpec) policy.Lookups {
	if a := spec.Nodes.Addresses; a == nil || a.OfOtherNodes != v1alpha1.AccessDeny {
		return 0
	}
	return policy.LooksUpAddresses
}

func nodeAnnotationsLookUp(spec *v1alpha1.NodeRestrictionPolicySpec) policy.Lookups {
	if a := spec.Nodes.Annotations; a == nil || a.ProvidedNodeIPOfOtherNodes != v1alpha1.AccessDeny {
		return 0
	}
	return policy.LooksUpAddresses
}

func nodeProviderIDLookUp(spec *v1alpha1.NodeRestrictionPolicySpec) policy.Lookups {
	if id := spec.Nodes.ProviderID; id == nil || id.OfOtherNodes != v1alpha1.AccessDeny {
		return 0
	}
	return policy.LooksUpProviderIDs
}

func podIPsLookUp(spec *v1alpha1.NodeRestrictionPolicySpec) policy.Lookups {
	ips := spec.Pods.IPs
	if ips != nil && (ips.PodIPs != nil && ips.PodIPs.OfOtherNodes == v1alpha1.AccessDeny ||
		ips.HostIPs != nil && ips.HostIPs.OfOtherNodes == v1alpha1.AccessDeny) {
		return policy.LooksUpAddresses
	}
	return 0
}
