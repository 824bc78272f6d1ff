// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rights

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/input"
	"noderestriction.plus/internal/rbac"
	"noderestriction.plus/internal/text"
)

const (
	// acceptKind is the kind of a file of accepted permissions.
	acceptKind = "AcceptedRights"
	// maxAcceptFile bounds such a file, in bytes, and maxAcceptances its items.
	maxAcceptFile  = 1 << 20
	maxAcceptances = 1000
	// dateFormat is how a file writes a day.
	dateFormat = "2006-01-02"
)

// acceptance accepts permissions: those of a binding, or on resources, or both.
type acceptance struct {
	// Binding is a kind and a name, such as ClusterRoleBinding/x or RoleBinding/kube-system/x.
	Binding string `json:"binding,omitempty"`
	// Resources are resources with group and subresource, such as pods/log or leases.coordination.k8s.io, or paths.
	Resources []string `json:"resources,omitempty"`
	Verbs     []string `json:"verbs,omitempty"`
	Namespace string   `json:"namespace,omitempty"`
	Reason    string   `json:"reason"`
	Expires   string   `json:"expires,omitempty"` // the last day on which it counts, in UTC

	until time.Time
}

// acceptances are the permissions that a file accepts. The nil acceptances accept nothing.
type acceptances struct {
	command.Envelope
	Items []acceptance `json:"items"`
}

// readAcceptances reads a file of accepted permissions. Errors name the field.
func readAcceptances(r io.Reader) (*acceptances, error) {
	data, err := input.ReadAll(r, maxAcceptFile)
	if err != nil {
		return nil, err
	}
	a := &acceptances{}
	if data, err = yaml.YAMLToJSONStrict(data); err != nil {
		return nil, err
	}
	strict, err := json.UnmarshalStrict(data, a)
	if err = errors.Join(append(strict, err)...); err != nil {
		return nil, err
	}
	if a.APIVersion != command.APIVersion || a.Kind != acceptKind {
		return nil, fmt.Errorf("apiVersion and kind: must be %s and %s", command.APIVersion, acceptKind)
	}
	if len(a.Items) > maxAcceptances {
		return nil, fmt.Errorf("items: must have at most %d items", maxAcceptances)
	}
	var errs []error
	for i := range a.Items {
		for _, err := range a.Items[i].check() {
			errs = append(errs, fmt.Errorf("items[%d].%w", i, err))
		}
	}
	return a, errors.Join(errs...)
}

func (a *acceptance) check() []error {
	var errs []error
	if strings.TrimSpace(a.Reason) == "" {
		errs = append(errs, errors.New("reason: must say why the permissions are accepted"))
	}
	if a.Binding == "" && len(a.Resources) == 0 {
		errs = append(errs, errors.New("binding: must name a binding, unless resources names resources"))
	}
	if parts := strings.Split(a.Binding, "/"); a.Binding != "" {
		if (parts[0] != rbac.ClusterRoleBinding || len(parts) != 2) && (parts[0] != rbac.RoleBinding || len(parts) != 3) {
			errs = append(errs, fmt.Errorf("binding: %s is neither %s/name nor %s/namespace/name",
				text.Quote(a.Binding), rbac.ClusterRoleBinding, rbac.RoleBinding))
		}
	}
	if a.Expires != "" {
		day, err := time.Parse(dateFormat, a.Expires)
		if err != nil {
			errs = append(errs, fmt.Errorf("expires: %s is no day such as 2027-01-31", text.Quote(a.Expires)))
		}
		a.until = day.AddDate(0, 0, 1)
	}
	return errs
}

// find returns the first acceptance of a request that counts now: of a grant, or without a grant one that names no binding.
func (a *acceptances) find(g *rbac.Grant, r *authorization.Request, now time.Time) *acceptance {
	if a == nil {
		return nil
	}
	for i := range a.Items {
		if item := &a.Items[i]; !item.expired(now) && item.covers(g, r) {
			return item
		}
	}
	return nil
}

func (a *acceptance) expired(now time.Time) bool { return a.Expires != "" && !now.Before(a.until) }

func (a *acceptance) covers(g *rbac.Grant, r *authorization.Request) bool {
	if a.Binding != "" {
		if g == nil {
			return false
		}
		name := g.BindingKind + "/" + g.Binding
		if g.BindingNamespace != "" {
			name = g.BindingKind + "/" + g.BindingNamespace + "/" + g.Binding
		}
		if a.Binding != name {
			return false
		}
	}
	return (len(a.Resources) == 0 || slices.Contains(a.Resources, r.GroupResource())) &&
		(len(a.Verbs) == 0 || slices.Contains(a.Verbs, r.Verb)) && (a.Namespace == "" || a.Namespace == r.Namespace)
}

// notes says which acceptances have expired.
func (a *acceptances) notes(now time.Time) []string {
	var notes []string
	if a == nil {
		return nil
	}
	for i := range a.Items {
		if item := &a.Items[i]; item.expired(now) {
			notes = append(notes, fmt.Sprintf("items[%d] of the accepted permissions has expired on %s: %s",
				i, item.Expires, text.Printable(text.Cut(item.Reason, maxReason))))
		}
	}
	return notes
}
