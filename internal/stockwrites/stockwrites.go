// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package stockwrites lists the kinds of writes that stock kubelets make. The webhook counts them in the status of policies, and the
// command promote wants to see them there.
package stockwrites

import (
	"slices"

	admissionv1 "k8s.io/api/admission/v1"

	"noderestriction.plus/policy"
)

// Write is a kind of write.
type Write struct {
	Operation   admissionv1.Operation
	Resource    string // with its group, unless that is the core group
	Subresource string // empty: the resource itself
}

// String returns the name of the kind, such as UPDATE nodes/status.
func (w Write) String() string {
	name := string(w.Operation) + " " + w.Resource
	if w.Subresource != "" {
		name += "/" + w.Subresource
	}
	return name
}

// Known is a kind of write that stock kubelets make, and how a cluster comes to make one.
type Known struct {
	Write
	// How says what to do so that a kubelet makes such a write that API servers send to the webhook.
	How string
}

// All returns the kinds of writes that stock kubelets make and rules evaluate. A kubelet updates a Node only through nodes/status, never
// deletes one, and evicts pods without the API.
func All() []Known {
	const (
		create, update, remove = admissionv1.Create, admissionv1.Update, admissionv1.Delete

		slices = "start, change or stop a DRA driver"
		events = "start a pod; the chart's value rules.events must be true"
		leases = "none is needed: a kubelet renews its Lease every 10 s; the chart's value baseline must have leases"
	)
	return []Known{
		{Write{create, "nodes", ""}, "add a node, or delete one and restart its kubelet"},
		{Write{update, "nodes", "status"}, "pull an image, or restart a kubelet"},
		{Write{create, "pods", ""}, "put a static pod on a node, or restart a kubelet that has one"},
		{Write{update, "pods", "status"}, "start a pod"},
		{Write{remove, "pods", ""}, "delete a pod that runs"},
		{
			Write{create, "serviceaccounts", "token"},
			"start a pod with a service account; the chart's value rules.serviceAccountTokens must be true",
		},
		{Write{create, "csinodes.storage.k8s.io", ""}, "register a node; the chart's value rules.csiNodes must be true"},
		{Write{update, "csinodes.storage.k8s.io", ""}, "restart a CSI driver on a node; the chart's value rules.csiNodes must be true"},
		{Write{create, "resourceslices.resource.k8s.io", ""}, slices + "; the chart's value rules.resourceSlices must be true"},
		{Write{update, "resourceslices.resource.k8s.io", ""}, slices + "; the chart's value rules.resourceSlices must be true"},
		{Write{remove, "resourceslices.resource.k8s.io", ""}, slices + "; the chart's value baseline must have resourceslices"},
		{Write{create, "events", ""}, events},
		{Write{update, "events", ""}, events},
		{Write{create, "leases.coordination.k8s.io", ""}, "register a node; the chart's value baseline must have leases"},
		{Write{update, "leases.coordination.k8s.io", ""}, leases},
		{
			Write{create, "certificatesigningrequests.certificates.k8s.io", ""},
			"wait for a kubelet to renew its certificate, or bootstrap a node; the chart's value baseline must have certificatesigningrequests",
		},
		{
			Write{update, "persistentvolumeclaims", "status"},
			"expand a volume that a pod uses; the chart's value baseline must have persistentvolumeclaims",
		},
		{
			Write{create, "podcertificaterequests.certificates.k8s.io", ""},
			"start a pod with a projected pod certificate; the chart's value baseline must have podcertificaterequests",
		},
	}
}

// maxAgentWrites is how many kinds of writes the status of a policy has.
const maxAgentWrites = 32

// Of returns the kinds of writes of stock kubelets that rules of the policy evaluate. Of a policy for node agents, whose writes depend on
// the agents, it returns the first 32 that its rules evaluate.
func Of(p *policy.Policy) []Known {
	if p.ForAgents() {
		return agentWrites(p)
	}
	return slices.DeleteFunc(All(), func(w Known) bool {
		return len(p.RulesOn(w.Resource, w.Subresource, w.Operation)) == 0
	})
}

func agentWrites(p *policy.Policy) []Known {
	var all []Known
	for _, t := range p.Targets() {
		if len(all) == maxAgentWrites {
			break
		}
		all = append(all, Known{
			Write{t.Operations[0], t.Resource, t.Subresource}, "have one of the agents write it",
		})
	}
	return all
}
