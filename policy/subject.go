// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy/pattern"
)

// SubjectKind is the kind of client that writes.
type SubjectKind string

// The kinds of clients that policies restrict.
const (
	// Kubelet is a kubelet, whose user name is that of its node.
	Kubelet SubjectKind = ""
	// ServiceAccount is a node agent with the token of a service account.
	ServiceAccount SubjectKind = "serviceAccount"
	// UsernamePrefix is a node agent whose user name ends in the name of its node.
	UsernamePrefix SubjectKind = "prefix"
)

// Subject is the client that writes. Its node is [Request.NodeName].
type Subject struct {
	Kind SubjectKind
	// Account identifies a node agent: <namespace>/<name> of its service account, or its user name. It is empty for a kubelet.
	Account string
}

// IsKubelet reports whether the client is a kubelet.
func (s Subject) IsKubelet() bool { return s.Kind == Kubelet }

// WithoutNode is the rule of a violation which says that the credential of a node agent names no node. Each policy that names the agent and
// evaluates such a write has this violation; spec.subjects.withoutNode says whether it denies the write.
const WithoutNode RuleID = "without-node"

// mustNameNode is the detail of a violation of rule WithoutNode.
const mustNameNode = "must use a credential that names its node"

// subjects is a compiled v1alpha1.Subjects. Nil stands for kubelets.
type subjects struct {
	accounts         map[string]bool // by <namespace>/<name>
	prefixes         []string
	allowWithoutNode bool
}

// name reports whether the policy is for a client.
func (s *subjects) name(subject Subject) bool {
	switch {
	case s == nil:
		return subject.IsKubelet()
	case subject.Kind == ServiceAccount:
		return s.accounts[subject.Account]
	case subject.Kind == UsernamePrefix:
		return slices.ContainsFunc(s.prefixes, func(prefix string) bool { return strings.HasPrefix(subject.Account, prefix) })
	}
	return false
}

// The bounds of subjects, which are also in the schema.
const (
	maxAccounts     = 32
	maxPrefixes     = 4
	maxPrefixLength = 128
)

func compileSubjects(source *v1alpha1.Subjects, at *field.Path) (*subjects, field.ErrorList) {
	if source == nil {
		return nil, nil
	}
	s := &subjects{accounts: map[string]bool{}, allowWithoutNode: source.WithoutNode == v1alpha1.AccessAllow}
	errs := pattern.CheckEnum(source.WithoutNode, at.Child("withoutNode"), v1alpha1.AccessAllow, v1alpha1.AccessDeny)
	if source.ServiceAccounts == nil && source.UsernamePrefixes == nil {
		errs = append(errs, field.Required(at, "must have serviceAccounts or usernamePrefixes"))
	}
	errs = append(errs, s.addAccounts(source.ServiceAccounts, at.Child("serviceAccounts"))...)
	return s, append(errs, s.addPrefixes(source.UsernamePrefixes, at.Child("usernamePrefixes"))...)
}

func (s *subjects) addAccounts(accounts []v1alpha1.ServiceAccount, at *field.Path) field.ErrorList {
	if errs := pattern.CheckList(accounts, maxAccounts, at); errs != nil {
		return errs
	}
	var errs field.ErrorList
	for i, account := range accounts {
		at := at.Index(i)
		errs = append(errs, checkName(account.Namespace, validation.IsDNS1123Label, at.Child("namespace"))...)
		errs = append(errs, checkName(account.Name, validation.IsDNS1123Subdomain, at.Child("name"))...)
		name := account.Namespace + "/" + account.Name
		if s.accounts[name] {
			errs = append(errs, field.Duplicate(at, text.Cut(name, text.MaxQuoted)))
		}
		s.accounts[name] = true
	}
	return errs
}

func checkName(name string, validate func(string) []string, at *field.Path) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(at, "must be a name")}
	}
	var errs field.ErrorList
	for _, why := range validate(name) {
		errs = append(errs, field.Invalid(at, text.Cut(name, text.MaxQuoted), why))
	}
	return errs
}

func (s *subjects) addPrefixes(prefixes []v1alpha1.UsernamePrefix, at *field.Path) field.ErrorList {
	if errs := pattern.CheckList(prefixes, maxPrefixes, at); errs != nil {
		return errs
	}
	var errs field.ErrorList
	for i, source := range prefixes {
		prefix, why := string(source), ""
		switch shown := func(r rune) bool { return r <= ' ' || r > '~' }; {
		case len(prefix) > maxPrefixLength:
			errs = append(errs, field.TooLong(at.Index(i), "", maxPrefixLength))
			continue
		case len(prefix) < 2 || !strings.HasSuffix(prefix, ":") || strings.ContainsFunc(prefix, shown):
			why = "must be printable ASCII without spaces that ends in a colon, such as system:ovn-node:"
		case coversOthers(prefix, "system:node:"), coversOthers(prefix, "system:serviceaccount:"):
			why = "must not cover kubelets or service accounts"
		case slices.Contains(s.prefixes, prefix):
			errs = append(errs, field.Duplicate(at.Index(i), prefix))
		}
		if why != "" {
			errs = append(errs, field.Invalid(at.Index(i), text.Cut(prefix, text.MaxQuoted), why))
			continue
		}
		s.prefixes = append(s.prefixes, prefix)
	}
	return errs
}

// coversOthers reports whether some user name begins with both.
func coversOthers(prefix, others string) bool {
	return strings.HasPrefix(prefix, others) || strings.HasPrefix(others, prefix)
}
