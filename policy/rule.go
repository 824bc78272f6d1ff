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

// Unverified is the rule of a violation which says that the write could not be evaluated, because its object could not be read, a lookup
// failed, or the time was over. A write that cannot be evaluated violates each policy that would have evaluated it.
const Unverified RuleID = "unverified"

// Undecodable is the detail of a violation of rule Unverified whose object is not well-formed.
const Undecodable = "the object could not be read"

// Reason is the rule's ID with spaces instead of hyphens, as messages have it.
func (id RuleID) Reason() string { return strings.ReplaceAll(string(id), "-", " ") }

// Doc documents a rule. The command explain, docs/rules.md and the dashboard show it.
type Doc struct {
	Title   string   // one sentence without a period: what a kubelet may or must not do
	Text    string   // what an attacker gains without the rule
	Kubelet string   // what a stock kubelet writes there, which always passes
	Attack  string   // a command that the rule denies
	Spec    string   // the path of the rule's section in the policy
	Fields  []string // the fields of the written object that the rule evaluates
	Since   string   // the first version with the rule
	Source  string   // the code or document that the rule relies on
}

// AnySubresource in a [Target] matches each subresource, but not the resource itself.
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
	// OptIn says that only the preset for the rule turns it on, because only some sites need it, or because it may deny writes of
	// stock kubelets at some sites.
	OptIn bool
	// Targets are the writes by kubelets that the rule evaluates. Empty: the rule is for node agents only.
	Targets []Target
	// Agents says what the rule means for node agents.
	Agents Agents
	// Note returns a sentence about a write that the rule evaluates. It is added once to the message of a denial, whichever rule the
	// write violates. Nil, or an empty sentence: no note.
	Note func(r *Request) string
	// LooksUp returns the lookups of the rule under a spec that must be answered from memory. Nil: none.
	LooksUp func(spec *v1alpha1.NodeRestrictionPolicySpec) Lookups
	// Warn returns at most [MaxWarnings] sentences without a period about settings that are valid, but probably a mistake. Each begins
	// with its path under at. Nil: no warnings.
	Warn func(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) []string
	// Compile compiles the rule's section of a spec. It returns a nil Check if the section is omitted, and all errors in the
	// section, each with its path under at.
	Compile func(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) (Check, field.ErrorList)
	// CEL says how much of the rule an API server can evaluate without the webhook.
	CEL CEL
}

// Lookups are kinds of lookups that must be answered from memory, because any write may need them.
type Lookups uint8

// The kinds of lookups that must be answered from memory.
const (
	LooksUpNodes       Lookups = 1 << iota // the metadata of Nodes
	LooksUpAddresses                       // the Nodes that report an address
	LooksUpProviderIDs                     // the Nodes that have a provider ID
)

// Check evaluates one write and returns all violations. It is pure: it depends on the request and its Facts only. It must not keep or
// change anything that the request returns.
type Check func(*Request) []Violation

// Violation is one way in which a write breaks a rule.
type Violation struct {
	Field  string // path of the field, such as metadata.labels
	Detail string // what the write must or must not do, bounded and with quoted values, such as: must not change "example.com/pool"
}
