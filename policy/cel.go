// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"encoding/json"
	"errors"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy/expression"
)

// CEL says how much of a rule an API server can evaluate without the webhook, in CEL.
type CEL struct {
	Kind Expressible
	// Why says which part of the rule CEL does not express, and why not. It is empty if Kind is [Exactly].
	Why string
	// Differs reports whether that part matters under a spec in a kind of write. Nil: it always does.
	Differs func(spec *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) bool
	// Express returns when a kind of write, one of the rule's Targets, violates the rule under a spec that turns it on. Nil if Kind is
	// [NotAtAll].
	Express func(spec *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression
	// Touches says that a write may violate the rule where CEL does not see it to the end. Nil: an update that changes one of the fields
	// of the rule's Doc may, and every other write.
	Touches func(on *expression.Scope) string
	// Strictest is the section of the rule, as JSON, with which the rule is strictest without lists of a site.
	Strictest string
	// Gate is the section of the rule, as JSON, that no write of a stock kubelet violates, whatever the site. While the webhook is down,
	// an API server refuses what violates it. Empty: a stock kubelet of some site may violate any section.
	Gate string
}

// Expressible is how much of a rule CEL expresses.
type Expressible string

// How much of a rule CEL expresses. A size beyond the bounds of package expression always violates.
const (
	Exactly  Expressible = "exactly"
	Narrower Expressible = "narrower" // partly: each write that the expressions deny violates the rule
	Wider    Expressible = "wider"    // partly: the expressions deny each write that violates the rule, and others
	NotAtAll Expressible = "not"
)

// Under returns how much of the rule CEL expresses under a spec in a kind of write.
func (c *CEL) Under(spec *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) Expressible {
	if c.Differs != nil && !c.Differs(spec, on) {
		return Exactly
	}
	return c.Kind
}

func (c *CEL) validate() error {
	var errs []error
	switch c.Kind {
	case Exactly, Narrower, Wider, NotAtAll:
	default:
		errs = append(errs, errors.New("CEL.Kind does not say how much of the rule CEL expresses"))
	}
	if (c.Kind == Exactly) != (c.Why == "") {
		errs = append(errs, errors.New("CEL.Why must say what CEL does not express, unless it expresses the rule exactly"))
	}
	if (c.Kind == NotAtAll) != (c.Express == nil) {
		errs = append(errs, errors.New("CEL.Express must be there, unless CEL does not express the rule"))
	}
	if !json.Valid([]byte(c.Strictest)) {
		errs = append(errs, errors.New("CEL.Strictest is not JSON"))
	}
	if c.Gate != "" && !json.Valid([]byte(c.Gate)) {
		errs = append(errs, errors.New("CEL.Gate is not JSON"))
	}
	if c.Gate != "" && (c.Kind == NotAtAll || c.Kind == Wider) {
		errs = append(errs, errors.New("CEL.Gate must be empty for a rule that CEL cannot express, or only wider"))
	}
	return errors.Join(errs...)
}
