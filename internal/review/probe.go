// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package review

import (
	admissionv1 "k8s.io/api/admission/v1"

	"noderestriction.plus/internal/program"
)

// The enforcement probe is a dry run of a registration as a kubelet that does not exist. It proves that the API server
// still asks this program about kubelets, and that it is denied.
const (
	// ProbeNode is the node in the probe's credential. No node may have that name.
	ProbeNode = program.Name + "-probe"
	// ProbeDenied is what the probe is told when all is well.
	ProbeDenied = "the enforcement probe is denied, as it should be"
)

// Probe says that the write is the enforcement probe's. It is denied whatever the policies say, and changes nothing: no
// kubelet gains anything by looking like it.
func (r *Review) Probe() bool {
	q := &r.Request
	return r.Kubelet && q.NodeName == ProbeNode && q.DryRun &&
		q.Resource == "nodes" && q.Subresource == "" && q.Operation == admissionv1.Create
}
