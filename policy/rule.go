// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
)

// RuleID names a rule, in kebab-case, such as node-labels. IDs are stable: they are in denials, metrics and docs.
type RuleID string

// Unverified is the rule of a violation that no rule found: the write could not be judged, because its object could not be
// read or a look-up failed. A write that cannot be judged is never allowed by a policy that would have judged it.
const Unverified RuleID = "unverified"

// Undecodable is the detail of a violation of rule Unverified whose object is not well-formed.
const Undecodable = "the object could not be read"

// Reason is the rule's ID with spaces for hyphens, as it stands in messages.
func (id RuleID) Reason() string { return strings.ReplaceAll(string(id), "-", " ") }

// Doc documents a rule. The command explain, docs/rules.md and the dashboard are printed from it.
type Doc struct {
	Title   string   // one sentence without a period: what a kubelet may or must not do
	Text    string   // what an attacker gains without the rule
	Kubelet string   // what a stock kubelet writes there, which always passes
	Attack  string   // a command that the rule denies
	Spec    string   // the path of the rule's section in the policy
	Fields  []string // the fields of the written object that the rule looks at
	Since   string   // the version that brought the rule
	Source  string   // where the facts behind the rule come from
}

// AnySubresource in a [Target] stands for each subresource, but not for the resource itself.
const AnySubresource = "*"

// Target is a kind of write: one resource or subresource, and the operations on it.
type Target struct {
	Resource    string
	Subresource string // empty: the resource itself
	Operations  []admissionv1.Operation
}

// Matches reports whether the request is a write of this kind.
func (t Target) Matches(r *Request) bool {
	return t.matches(write{r.Resource, r.Subresource, r.Operation})
}

func (t Target) matches(w write) bool {
	return t.Resource == w.resource && slices.Contains(t.Operations, w.operation) &&
		(t.Subresource == w.subresource || t.Subresource == AnySubresource && w.subresource != "")
}

// Rule is one restriction. A policy turns it on by having its section.
type Rule struct {
	ID  RuleID
	Doc Doc
	// OptIn says that no preset but the one made for it turns the rule on: it is for some sites only, or it may deny what a
	// stock kubelet of some site does.
	OptIn bool
	// Targets are the writes that the rule looks at.
	Targets []Target
	// Note says something about a write that the rule looks at, which is added once to the message of its denial, whichever rule it
	// violates. Nil, or empty: nothing.
	Note func(r *Request) string
	// LooksUp says what the rule may look up under a spec. Nil: nothing that has to be kept in memory.
	LooksUp func(spec *v1alpha1.NodeRestrictionPolicySpec) Lookups
	// Warn returns at most [MaxWarnings] sentences without a period about what is valid in a spec, but probably not meant. Each begins
	// with its path under at. Nil: none.
	Warn func(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) []string
	// Compile reads the rule's section of a spec. It returns a nil Check if the section is omitted, and every error in the
	// section, with its path under at.
	Compile func(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) (Check, field.ErrorList)
}

// Lookups are kinds of lookups that must be answered from memory, because any write may need them.
type Lookups uint8

// The kinds of lookups that must be answered from memory.
const (
	LooksUpNodes     Lookups = 1 << iota // the metadata of Nodes
	LooksUpAddresses                     // whose an address is
)

// Check judges one write and returns every violation. It is pure: what it cannot see in the request it asks of the
// request's Facts. It must not keep or change what the request holds.
type Check func(*Request) []Violation

// Violation is one way in which a write breaks a rule.
type Violation struct {
	Field  string // path of the field, such as metadata.labels
	Detail string // what is wrong, bounded, every foreign value quoted, such as: must not change "example.com/pool"
}
