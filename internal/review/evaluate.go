// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package review

import (
	"errors"
	"fmt"
	"runtime/debug"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
)

// The messages about a write that could not be evaluated.
const (
	internalError = "internal error"
)

// Verdict is the result of evaluating a review.
type Verdict struct {
	policy.Decision
	// Err is why the write could not be evaluated as it should, a *[PanicError] if that is a bug. It is for the log, not for
	// the client. Nil if the write was evaluated.
	Err error

	// refusal is the message of a denial that no policy decided.
	refusal string
}

// Message returns why the write is denied, in one sentence of at most 1 KiB; empty if it is allowed.
func (v Verdict) Message() string {
	if v.refusal != "" {
		return v.refusal
	}
	return v.Decision.Message()
}

// PanicError is a panic during an evaluation.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Restricted reports whether the write is evaluated: a kubelet's always is, and another user's if a policy of the set names the user and
// evaluates such writes.
func (r *Review) Restricted(set *policy.Set) bool {
	return r.Kubelet || r.Agent && set.Evaluates(&r.Request)
}

// Evaluate evaluates the write. Users other than kubelets and the node agents that policies name are not restricted; a kubelet whose
// credential names no node is always denied, and so is the enforcement probe. The objects are decoded only if a policy of the set evaluates
// them.
//
// If the objects cannot be read or their evaluation panics, each policy that evaluates the write has a violation of rule
// [policy.Unverified], so that such a write is not allowed. The same applies to what has not been evaluated by the time that
// was given to [Decoder.DecodeUntil]. Facts may be nil: then every lookup fails.
func (r *Review) Evaluate(set *policy.Set, facts policy.Facts) Verdict {
	switch {
	case !r.Restricted(set):
		return Verdict{}
	case r.Kubelet && r.Request.NodeName == "":
		return r.Refuse("the user name of the kubelet names no node")
	case r.Probe():
		return r.Refuse(ProbeDenied)
	case !set.Evaluates(&r.Request):
		return Verdict{Decision: policy.Decision{NodeName: r.Request.NodeName}}
	}
	r.Request.Clock = &r.guard
	if facts != nil {
		r.guard.facts, r.Request.Facts = facts, &r.guard
	}
	decision, fault := r.evaluate(set)
	if fault == nil {
		return Verdict{Decision: decision, Err: r.unreadable}
	}
	r.Request.Undecodable = internalError
	if decision, again := r.evaluate(set); again == nil {
		return Verdict{Decision: decision, Err: fault}
	}
	refused := r.Refuse(internalError)
	refused.Err = fault
	return refused
}

// Refuse returns a denial that no policy decides. Its record has the rule [policy.Unverified] and no policy.
func (r *Review) Refuse(reason string) Verdict {
	return Verdict{
		refusal: reason,
		Decision: policy.Decision{
			Subject: r.Request.Subject, NodeName: r.Request.NodeName,
			Violations: []policy.PolicyViolation{{
				Rule:      policy.Unverified,
				Violation: policy.Violation{Detail: reason},
				Action:    v1alpha1.Deny,
			}},
		},
	}
}

// evaluate returns a *[PanicError] or nil.
func (r *Review) evaluate(set *policy.Set) (decision policy.Decision, fault error) {
	defer func() {
		if v := recover(); v != nil {
			fault = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	if r.Request.Undecodable == "" && r.guard.Over() {
		r.Request.Undecodable, r.unreadable = policy.OutOfTime, errors.New(policy.OutOfTime)
	}
	decision = set.Evaluate(&r.Request)
	if decision.Err != nil {
		r.unreadable = bounded(decision.Err)
	}
	return decision, nil
}
