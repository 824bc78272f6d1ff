// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rights

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/nodeauthorizer"
	"noderestriction.plus/internal/rbac"
	"noderestriction.plus/internal/text"
)

// reportKind is the kind of the output.
const reportKind = "RightsReport"

// How a report was made.
const (
	HowLive = "live"       // an API server was asked about the kubelet
	HowSelf = "as kubelet" // an API server was asked by the kubelet itself
	HowDump = "offline"    // from files
)

// Report is what a kubelet may do. Its texts are printable and bounded.
type Report struct {
	command.Envelope
	Node           string        `json:"node"`
	User           string        `json:"user"`
	Groups         []string      `json:"groups"`
	How            string        `json:"how"`
	Server         string        `json:"server,omitempty"`
	ServerVersion  string        `json:"serverVersion,omitempty"`
	Table          string        `json:"table"` // the release whose Node authorizer the permissions are compared with
	NodeAuthorizer string        `json:"nodeAuthorizer"`
	Started        *time.Time    `json:"started,omitempty"`
	Ended          *time.Time    `json:"ended,omitempty"`
	Counts         map[Class]int `json:"counts"`
	Bindings       []Binding     `json:"bindings,omitempty"` // what gives permissions that are not intended, the most dangerous first
	Lacking        []Lack        `json:"lacking,omitempty"`  // permissions that the run lacked
	Notes          []string      `json:"notes,omitempty"`
	Items          []Right       `json:"items"`

	failOn string
}

// Lack is a permission that the run lacked.
type Lack struct {
	Permission string `json:"permission"` // such as list roles.rbac.authorization.k8s.io
	Without    string `json:"without"`    // what is not known without it
}

// Binding is a binding that gives permissions that are not intended.
type Binding struct {
	Binding      string `json:"binding"`
	Role         string `json:"role"`
	Subject      string `json:"subject"`
	Rights       int    `json:"permissions"` // widened ones
	Alone        int    `json:"alone"`       // of them, those that no other binding gives, too
	Danger       string `json:"danger"`
	Distribution string `json:"distribution,omitempty"` // that ships it
	Effect       string `json:"effect,omitempty"`       // what the distribution means by it, or what it does
	Fix          string `json:"fix,omitempty"`          // a command that removes the subject

	danger nodeauthorizer.Danger
}

// States of the Node authorizer, as far as answers show it.
const (
	nodeOn      = "on"
	nodeOff     = "off"
	nodeUnknown = "unknown"
)

// finish sorts the permissions and sums them up.
func (r *Report) finish(all []*Right, keepRefused bool) {
	r.Counts = map[Class]int{}
	for _, right := range all {
		r.Counts[right.Class]++
	}
	r.sumBindings(all)
	slices.SortStableFunc(all, compare)
	r.Items = []Right{}
	for _, right := range all {
		if keepRefused || right.Class != Refused {
			r.Items = append(r.Items, *right)
		}
	}
}

func (r *Report) sumBindings(all []*Right) {
	bindings := map[string]*Binding{}
	for _, right := range all {
		if right.Class != Widened {
			continue
		}
		for i := range right.Grants {
			s := &right.Grants[i]
			if s.grant.BindingKind == "" {
				continue
			}
			key := s.Binding + "\x00" + s.Subject
			b := bindings[key]
			if b == nil {
				b = &Binding{Binding: s.Binding, Role: s.Role, Subject: s.Subject, Distribution: s.Distribution, Fix: fix(s.grant, s.Rule > 0)}
				if s.known != nil {
					b.Effect = s.known.Effect
				}
				bindings[key] = b
			}
			b.Rights++
			if len(right.Grants) == 1 && right.MoreGrants == 0 {
				b.Alone++
			}
			b.danger = max(b.danger, right.danger)
			b.Danger = b.danger.String()
		}
	}
	for _, b := range bindings {
		r.Bindings = append(r.Bindings, *b)
	}
	slices.SortFunc(r.Bindings, func(a, b Binding) int {
		return cmp.Or(cmp.Compare(b.danger, a.danger), cmp.Compare(b.Rights, a.Rights), cmp.Compare(a.Binding, b.Binding))
	})
}

// fix returns a command that removes the subject of a grant from its binding. It refuses if the binding has changed since. It is empty
// if the place of the subject is not known, or if a name would need quotes.
func fix(g *rbac.Grant, known bool) string {
	safe := regexp.MustCompile(`^[A-Za-z0-9:._-]{1,253}$`)
	if !known || !safe.MatchString(g.Binding) || !safe.MatchString(g.Subject.Name) ||
		g.BindingNamespace != "" && !safe.MatchString(g.BindingNamespace) {
		return ""
	}
	target := "clusterrolebinding " + g.Binding
	if g.BindingKind == rbac.RoleBinding {
		target = "rolebinding " + g.Binding + " --namespace " + g.BindingNamespace
	}
	path := fmt.Sprintf("/subjects/%d", g.SubjectIndex)
	return fmt.Sprintf(`kubectl patch %s --type=json --patch='[{"op":"test","path":"%s/name","value":"%s"},{"op":"remove","path":"%s"}]'`,
		target, path, g.Subject.Name, path)
}

// Values of --fail-on.
const (
	failWidened  = "widened"
	failCritical = "critical"
	failMissing  = "missing"
	failNever    = "never"
)

// Err is the error of the command: nil, that the answer is no, or that there is no answer about something.
func (r *Report) Err() error {
	if r.failOn == failNever {
		return nil
	}
	wanted := 0
	for i := range r.Items {
		item := &r.Items[i]
		if item.Class == Widened && (r.failOn != failCritical || item.danger == nodeauthorizer.Critical) ||
			item.Class == Missing && r.failOn == failMissing {
			wanted++
		}
	}
	switch {
	case wanted > 0 && r.failOn == failMissing:
		return command.No("%s: widened or missing", permissions(wanted))
	case wanted > 0 && r.failOn == failCritical:
		return command.No("%s: not intended, and critical", permissions(wanted))
	case wanted > 0:
		return command.No("%s: not intended", permissions(wanted))
	case r.Counts[Unknown] > 0:
		return fmt.Errorf("the API server failed to answer about %s", permissions(r.Counts[Unknown]))
	case len(r.Items) == 0:
		return errors.New("there is no answer at all")
	}
	return nil
}

// stateOfNodeAuthorizer says whether the Node authorizer is on, from answers: it is if something that it intends is allowed without a grant
// of RBAC, unless everything is allowed.
func stateOfNodeAuthorizer(rights []*Right, everything bool) string {
	intended, byNode := 0, 0
	for _, r := range rights {
		if r.cell == nil || r.cell.Intent == nodeauthorizer.Refused || r.cell.Gate != "" || r.Allowed == nil || r.Class == Untried {
			continue
		}
		intended++
		if *r.Allowed && len(r.Grants) == 0 && !strings.HasPrefix(r.Reason, "RBAC: ") {
			byNode++
		}
	}
	switch {
	case intended == 0 || everything:
		return nodeUnknown
	case byNode == 0:
		return nodeOff
	}
	return nodeOn
}

// identityTexts sets who the kubelet is.
func (r *Report) identityTexts(user string, groups []string) {
	r.User = text.Printable(text.Cut(user, maxReason))
	for _, group := range groups[:min(len(groups), maxGroups)] {
		r.Groups = append(r.Groups, text.Printable(text.Cut(group, maxReason)))
	}
}

// maxGroups bounds how many groups are kept.
const maxGroups = 50
