// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package learn

import (
	"maps"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"

	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
)

// Registrations are what registrations of Nodes have in common. A policy can require it, but nothing does so by itself: what a log does not
// have may still come, and a wrong requirement keeps new nodes out.
type Registrations struct {
	Count int `json:"count"`
	Nodes int `json:"nodes"`
	// Labels and Taints are those that all registrations have, except those of every kubelet. They are empty for fewer than three nodes.
	Labels []string `json:"labels"` // keys
	Taints []string `json:"taints"` // as kubectl writes them

	nodes          map[string]bool
	labels, taints map[string]bool // nil: there was no registration
}

// maxCommon is how many labels or taints of a registration are compared.
const maxCommon = 128

// add adds a write that was evaluated, if it is a registration.
func (r *Registrations) add(w *policy.Request) {
	if w.Resource != "nodes" || w.Subresource != "" || w.Operation != admissionv1.Create {
		return
	}
	request := *w
	if d := policy.NewSet().Evaluate(&request); d.Err != nil {
		return
	}
	r.Count++
	if r.nodes == nil {
		r.nodes = map[string]bool{}
	}
	if len(r.nodes) < maxNodes {
		r.nodes[text.Cut(request.NodeName, maxName)] = true
	}
	labels, taints := map[string]bool{}, map[string]bool{}
	for key := range request.Node().Labels().New() {
		if !isOfKubernetes(domainOf(key)) {
			labels[key] = true
		}
	}
	for _, t := range request.Node().Taints().New() {
		if !isOfKubernetes(domainOf(t.Key)) {
			taints[taintText(&t)] = true
		}
	}
	r.labels, r.taints = common(r.labels, labels), common(r.taints, taints)
}

// common returns what both sets have. A set of nil has everything.
func common(all, one map[string]bool) map[string]bool {
	switch {
	case len(one) > maxCommon:
		return map[string]bool{}
	case all == nil:
		return one
	}
	maps.DeleteFunc(all, func(key string, _ bool) bool { return !one[key] })
	return all
}

func taintText(t *corev1.Taint) string {
	s := t.Key
	if t.Value != "" {
		s += "=" + t.Value
	}
	return s + ":" + string(t.Effect)
}

// finish lists what all registrations have in common.
func (r *Registrations) finish() {
	r.Nodes, r.Labels, r.Taints = len(r.nodes), []string{}, []string{}
	if r.Nodes >= several {
		r.Labels = append(r.Labels, slices.Sorted(maps.Keys(r.labels))...)
		r.Taints = append(r.Taints, slices.Sorted(maps.Keys(r.taints))...)
	}
}

// text says what a policy could require; empty if there is nothing.
func (r *Registrations) text() string {
	var what []string
	if len(r.Labels) > 0 {
		what = append(what, "the labels "+text.QuoteAll(r.Labels))
	}
	if len(r.Taints) > 0 {
		what = append(what, "the taints "+text.QuoteAll(r.Taints))
	}
	if len(what) == 0 {
		return ""
	}
	return "Each of " + count(r.Count, "registration") + " of " + count(r.Nodes, "node") + " had " + strings.Join(what, " and ") +
		". A policy can require them, but that would keep a node without them out."
}
