// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import "noderestriction.plus/policy"

// NewCompiler returns a compiler for all rules. It panics if the rules are not valid, which a test finds.
func NewCompiler() *policy.Compiler {
	compiler, err := policy.NewCompiler(All())
	if err != nil {
		panic(err)
	}
	return compiler
}

// All returns all rules. Violations are reported in their order.
func All() []policy.Rule {
	rules := []policy.Rule{
		nodeSelf(),
		nodeNames(),
		nodeLabels(),
		nodeAnnotations(),
		nodeTaints(),
		nodeFinalizers(),
		nodeOwnerReferences(),
		nodeManagedFields(),
		nodeUnschedulable(),
		nodePodCIDRs(),
		nodeProviderID(),
		nodeOtherSpec(),
		nodeDirectUpdates(),
		nodeAddresses(),
		nodeKubeletPorts(),
		nodeConditions(),
		nodeCapacity(),
		nodeExtendedResources(),
		nodeImages(),
		nodeInfo(),
		nodeVolumes(),
		nodeReservedStatus(),
		nodeFeatures(),
		nodeUnknownFields(),
		mirrorPodNames(),
		mirrorPodNamespaces(),
		mirrorPodLabels(),
		mirrorPodAnnotations(),
		mirrorPodFinalizers(),
		mirrorPodManagedFields(),
		mirrorPodReferences(),
		mirrorPodPlacement(),
		mirrorPodPriorityClasses(),
		mirrorPodHostAccess(),
		mirrorPodReadinessGates(),
		podSelf(),
		podMetadata(),
		podSpec(),
		podManagedFields(),
		podConditions(),
		podIPs(),
		podPhase(),
		podContainers(),
		podDeletion(),
		podEviction(),
		podUnknownFields(),
		podObservedGeneration(),
		serviceAccountTokens(),
		csiNodes(),
		resourceSlices(),
		events(),
		objects(),
		baselineNodes(),
		baselinePods(),
		baselinePersistentVolumeClaims(),
		baselineServiceAccountTokens(),
		baselineLeases(),
		baselineCSINodes(),
		baselineResourceSlices(),
		baselineCertificateSigningRequests(),
		baselinePodCertificateRequests(),
	}
	return append(rules, lockdown(rules))
}
