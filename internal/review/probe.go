// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package review

import (
	admissionv1 "k8s.io/api/admission/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/program"
)

// The enforcement probe are dry runs of a kubelet that does not exist. They verify that the API server still calls the webhook for
// kubelets' writes, and that they are denied.
const (
	// ProbeNode is the node in the probe's credential. No real node may have this name.
	ProbeNode = program.Name + "-probe"
	// ProbeAnnotation is the annotation of a CSINode that names the webhook to which the API server sends the probe.
	ProbeAnnotation = v1alpha1.GroupName + "/probe"
	// ProbeDenied is the message of a successful probe.
	ProbeDenied = "the enforcement probe is denied, as it should be"
)

// Probe reports whether the write is the enforcement probe's: the creation of a Node or a CSINode. It is denied whatever the policies
// say, and changes nothing: a kubelet gains nothing by imitating it.
func (r *Review) Probe() bool {
	q := &r.Request
	return r.Kubelet && q.NodeName == ProbeNode && q.DryRun && q.Operation == admissionv1.Create && q.Subresource == "" &&
		(q.Resource == "nodes" || q.Resource == "csinodes.storage.k8s.io")
}
