// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/knowngrants"
	"noderestriction.plus/internal/nodeauthorizer"
	"noderestriction.plus/internal/rbac"
)

// familiar is how much is known of what a crowd may do.
type familiar struct {
	// harmless is what the Node authorizer allows anyway, what Kubernetes and kubeadm give, and what is low in danger.
	harmless bool
	// from is the distribution that is known for it; empty if none is.
	from string
}

// familiarity says what is known of a request that a subject of a binding may make by it.
func familiarity(h *rbac.Holding, subject *rbacv1.Subject, r *authorization.Request, table *nodeauthorizer.Table) familiar {
	if subject.Name == authorization.NodesGroup &&
		table.Decide(ProbeNode, r, func(*authorization.Request) bool { return false }) != nil {
		return familiar{harmless: true}
	}
	grant := h.Grant
	grant.Subject = *subject
	known := knowngrants.Find(table, &grant, r)
	switch {
	case known == nil, known.FullNode:
		danger, _ := nodeauthorizer.Risk(r)
		return familiar{harmless: danger < nodeauthorizer.Medium}
	case slices.Contains([]string{"Kubernetes", "kubeadm"}, known.Distribution), r.Subresource == "nodeclient": // the latter is for mint-node
		return familiar{harmless: true, from: known.Distribution}
	}
	danger, _ := nodeauthorizer.Risk(r)
	return familiar{harmless: danger < nodeauthorizer.Medium, from: known.Distribution}
}

// isFrom says which distribution is known for binding the whole role system:node by this name. The name is a hint only.
func isFrom(h *rbac.Holding) string {
	for _, g := range knowngrants.Grants() {
		if g.FullNode && g.Binding == h.Binding {
			return strings.Join([]string{"; ", g.Distribution, " is known for it (", g.Source, ", ", g.SourceAt, ")"}, "")
		}
	}
	return ""
}
