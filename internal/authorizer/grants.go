// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package authorizer

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/manifest"
	"noderestriction.plus/internal/rbac"
)

const (
	// anyNode is a name that no node has: what a kubelet of this name may do, each may.
	anyNode = "?"
	// maxUsers is how many kubelets that bindings name one by one are looked at.
	maxUsers = 1000
	// maxRequests is how many requests of a rule are looked at.
	maxRequests = 1000
	// maxGrants is how many bindings are kept.
	maxGrants = 1000
	// maxExamples is how many permissions of a binding are shown.
	maxExamples = 3
)

// Grant is a binding that gives kubelets what the entry denies.
type Grant struct {
	Binding  string   `json:"binding"` // with its kind and its namespace
	Role     string   `json:"role"`    // with its kind
	Subject  string   `json:"subject"`
	Denied   int      `json:"denied"` // of its permissions
	Of       int      `json:"of"`     // all its permissions: each verb of each resource
	Examples []string `json:"examples"`
}

// readRBAC reads roles and bindings.
func readRBAC(s *rbac.Snapshot, r io.Reader) error {
	stream, err := manifest.NewStream(r)
	if err != nil {
		return err
	}
	for {
		doc, err := stream.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		data, err := doc.JSON()
		if err == nil {
			err = s.Add(data)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", doc, err)
		}
	}
}

func (r *Report) readRBAC(inputs *command.Inputs, file string) error {
	f, err := inputs.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	return readRBAC(&r.rbac, f)
}

// addGrants finds the bindings that give kubelets what the entry denies.
func (r *Report) addGrants() error {
	if len(r.rbac.ClusterRoleBindings) == 0 && len(r.rbac.RoleBindings) == 0 {
		return errors.New("there is no binding")
	}
	evaluator := rbac.New(&r.rbac)
	r.Grants = &[]Grant{}
	known := map[[3]string]bool{}
	for _, node := range r.namedNodes() {
		grants := evaluator.Grants(authorization.Kubelet(node)).List
		for i := range grants {
			grant := r.compare(node, &grants[i])
			key := [3]string{grant.Binding, grant.Role, grant.Subject}
			if grant.Denied > 0 && !known[key] && len(*r.Grants) < maxGrants {
				known[key] = true
				*r.Grants = append(*r.Grants, grant)
			}
		}
	}
	return nil
}

// namedNodes returns a node that no binding names, and those that bindings name.
func (r *Report) namedNodes() []string {
	nodes := []string{anyNode}
	add := func(subjects []rbacv1.Subject) {
		for _, s := range subjects {
			name, ok := strings.CutPrefix(s.Name, authorization.NodeUserPrefix)
			if ok && s.Kind == rbacv1.UserKind && len(nodes) < maxUsers && !slices.Contains(nodes, name) {
				nodes = append(nodes, name)
			}
		}
	}
	for i := range r.rbac.ClusterRoleBindings {
		add(r.rbac.ClusterRoleBindings[i].Subjects)
	}
	for i := range r.rbac.RoleBindings {
		add(r.rbac.RoleBindings[i].Subjects)
	}
	return nodes
}

// compare returns what of a grant the entry denies the kubelet of a node.
func (r *Report) compare(node string, grant *rbac.Grant) Grant {
	out := Grant{
		Binding: shown(rbac.Name(grant.BindingKind, grant.BindingNamespace, grant.Binding)),
		Role:    shown(grant.RoleKind + " " + grant.Role),
		Subject: shown(grant.Subject.Kind + " " + grant.Subject.Name), Examples: []string{},
	}
	rules := grant.Rules()
	for i := range rules {
		requests, _ := grant.Requests(&rules[i], maxRequests)
		for j := range requests {
			request := &requests[j]
			out.Of++
			if !r.entry.Denies(request) || r.intent.of(node, request) == surely {
				continue
			}
			out.Denied++
			if len(out.Examples) < maxExamples {
				out.Examples = append(out.Examples, shown(request.String()))
			}
		}
	}
	return out
}

func (r *Report) writeGrants(w io.Writer) error {
	if r.Grants == nil {
		return nil
	}
	if len(*r.Grants) == 0 {
		_, err := io.WriteString(w, "No binding gives kubelets what the entry denies.\n")
		return err
	}
	if _, err := io.WriteString(w, "Bindings that give kubelets what the entry denies:\n\n"); err != nil {
		return err
	}
	table := command.Table{Header: []string{"BINDING", "ROLE", "SUBJECT", "DENIED", "SUCH AS"}}
	for i := range *r.Grants {
		g := &(*r.Grants)[i]
		table.Add(g.Binding, g.Role, g.Subject, fmt.Sprintf("%d of %d", g.Denied, g.Of), strings.Join(g.Examples, "\n"))
	}
	return table.Write(w)
}
