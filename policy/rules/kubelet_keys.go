// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"slices"
	"strings"

	"noderestriction.plus/policy/expression"
)

// The labels and annotations that a kubelet manages on its Node, and the labels that Kubernetes reserves. Sources:
// kubelet_node_status.go (updateDefaultLabels, initialNode) and the noderestriction admission plugin in kubernetes v1.37.2,
// well_known_labels.go in k8s.io/kubelet v0.37.2.

const (
	labelHostname            = "kubernetes.io/hostname"
	labelOS                  = "kubernetes.io/os"
	labelArch                = "kubernetes.io/arch"
	betaLabelOS              = "beta.kubernetes.io/os"
	betaLabelArch            = "beta.kubernetes.io/arch"
	annotationProvidedNodeIP = "alpha.kubernetes.io/provided-node-ip"
	annotationCSINodeIDs     = "csi.volume.kubernetes.io/nodeid"
)

// isComputedLabel reports whether every kubelet computes the label.
func isComputedLabel(key string) bool { return slices.Contains(computedLabels(), key) }

func computedLabels() []string {
	return []string{labelHostname, labelOS, labelArch, betaLabelOS, betaLabelArch, "node.kubernetes.io/windows-build"}
}

// isPermanentLabel reports whether no kubelet removes the label: it has a value that is never empty. A kubelet removes a label that it
// repairs, if --node-labels has it with an empty value.
func isPermanentLabel(key string) bool { return slices.Contains(permanentLabels(), key) }

func permanentLabels() []string { return []string{labelHostname, labelOS, labelArch} }

// isReconciledLabel reports whether a kubelet repairs the label when it restarts and finds its Node with another value.
func isReconciledLabel(key string) bool { return slices.Contains(reconciledLabels(), key) }

func reconciledLabels() []string {
	return append([]string{
		"topology.kubernetes.io/zone", "topology.kubernetes.io/region",
		"failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region",
		"node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type",
	}, computedLabels()...)
}

// isReservedLabel reports whether the NodeRestriction plugin denies the label to kubelets: those under kubernetes.io and k8s.io, except
// the well-known ones and those under kubelet.kubernetes.io and node.kubernetes.io.
func isReservedLabel(key string) bool {
	domain, _, found := strings.Cut(key, "/")
	if !found || !isUnder(domain, "kubernetes.io") && !isUnder(domain, "k8s.io") {
		return false
	}
	return !isReconciledLabel(key) && !isUnder(domain, "kubelet.kubernetes.io") && !isUnder(domain, "node.kubernetes.io")
}

// reservedLabelIn is [isReservedLabel] in CEL.
func reservedLabelIn(key string) string {
	return expression.And(
		key+`.matches('^([^/]*\\.)?(kubernetes|k8s)\\.io/')`, expression.Not(expression.In(key, reconciledLabels()...)),
		"!"+key+`.matches('^([^/]*\\.)?(kubelet|node)\\.kubernetes\\.io/')`)
}

// isUnder reports whether a domain is parent or a subdomain of parent.
func isUnder(domain, parent string) bool {
	return domain == parent || strings.HasSuffix(domain, "."+parent)
}

// isKubeletAnnotation reports whether a kubelet manages the annotation of its Node.
func isKubeletAnnotation(key string) bool { return slices.Contains(kubeletAnnotations(), key) }

func kubeletAnnotations() []string {
	return []string{annotationProvidedNodeIP, annotationCSINodeIDs, "volumes.kubernetes.io/controller-managed-attach-detach"}
}

// isControllerLabel reports whether a controller selects its pods by the label: it adopts or counts a pod with this label and the rest of
// its selector. Source: the well-known labels of k8s.io/api apps/v1 and batch/v1 v0.37.2.
func isControllerLabel(key string) bool { return slices.Contains(controllerLabels(), key) }

func controllerLabels() []string {
	return []string{
		"pod-template-hash", "controller-revision-hash", "pod-template-generation",
		"statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index",
		"batch.kubernetes.io/job-name", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-completion-index",
		"job-name", "controller-uid",
	}
}
