package policy

// Rules are all rules, in the order in which they report.
func Rules() []Rule {
	return []Rule{
		nodeLabels(),
		nodeAnnotations(),
		nodeTaints(),
		nodeFinalizers(),
		nodeOwnerReferences(),
		nodeUnschedulable(),
		mirrorPodNames(),
		mirrorPodNamespaces(),
		mirrorPodLabels(),
		mirrorPodFinalizers(),
		podMetadata(),
	}
}
