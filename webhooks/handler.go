// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"errors"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/go-logr/logr"

	"noderestriction.plus/internal/deadline"
	"noderestriction.plus/internal/denial"
	"noderestriction.plus/internal/record"
	"noderestriction.plus/internal/review"
	"noderestriction.plus/policy"
)

// PolicySource returns the policies in force, or nil until they are known. It must not block.
type PolicySource interface {
	Set() *policy.Set
}

// EvaluationCounter counts writes for the policies that evaluated them. Evaluated must return immediately. It is called concurrently.
type EvaluationCounter interface {
	Evaluated(r *policy.Request, d policy.Decision)
}

// Handler answers POST /admit: it evaluates what kubelets write, and the node agents that policies name. Requests from other users are
// allowed without evaluation.
//
// What an attacker can cause is denied: an object that cannot be read, is too large or takes too long, a panic. What an outage causes,
// such as policies that are not known yet, is an HTTP error, so that the API server applies the failurePolicy.
//
// The server bounds the body: reading one that is too large must fail with a *[http.MaxBytesError].
type Handler struct {
	receiver

	policies    PolicySource
	facts       policy.Facts
	recorder    *denial.Recorder
	evaluations EvaluationCounter
	version     string
}

var _ http.Handler = (*Handler)(nil)

// NewHandler returns a Handler. Lookups in facts must be bounded in time. Records name the version, which is the program's.
func NewHandler(
	policies PolicySource, facts policy.Facts, recorder *denial.Recorder, metrics *denial.Metrics, evaluations EvaluationCounter,
	version string, log logr.Logger,
) *Handler {
	return &Handler{
		receiver: newReceiver(metrics, log),
		policies: policies, facts: facts, recorder: recorder, evaluations: evaluations, version: version,
	}
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	due := deadline.Of(r, time.Now())
	buffer := h.buffer()
	defer h.release(buffer)
	rev, refused := h.receiveReview(r, buffer, due.Last())
	var answer []byte
	if refused == nil {
		answer, refused = h.handle(rev, clientAuth(r), due)
	}
	if refused != nil {
		h.refuse(w, r, refused)
		return
	}
	h.answer(w, answer)
}

// handle answers one review. A write that violates a policy is recorded before it is answered.
func (h *Handler) handle(
	rev *review.Review, auth record.ClientAuth, due deadline.Deadline,
) (answer []byte, refused *refusal) {
	defer func() {
		if cause := recover(); cause != nil {
			answer, refused = h.recovered(rev, auth, due, &review.PanicError{Value: cause, Stack: debug.Stack()}), nil
		}
	}()
	if !rev.Kubelet && !rev.Agent {
		return h.unrestricted(rev, due), nil
	}
	set := h.policies.Set()
	switch {
	case set == nil:
		return nil, &refusal{http.StatusServiceUnavailable, denial.RefusedNotSynced, "the policies are not known yet"}
	case !rev.Restricted(set):
		return h.unrestricted(rev, due), nil
	}
	start := time.Now()
	verdict := rev.Evaluate(set, h.facts)
	if !rev.Probe() {
		h.metrics.Evaluated(&rev.Request, verdict.Decision, time.Since(start))
	}
	if verdict.Err != nil {
		h.unevaluated(rev, verdict.Err)
	}
	late := h.late(rev, verdict, due)
	if !late {
		h.evaluations.Evaluated(&rev.Request, verdict.Decision)
	}
	return rev.Answer(verdict, h.record(rev, auth, verdict, late)), nil
}

// unrestricted allows the write of a user whom no policy restricts.
func (h *Handler) unrestricted(rev *review.Review, due deadline.Deadline) []byte {
	h.late(rev, review.Verdict{}, due)
	return rev.Answer(review.Verdict{}, review.Receipt{})
}

// late reports whether the sender has stopped waiting for the verdict, and counts that.
func (h *Handler) late(rev *review.Review, verdict review.Verdict, due deadline.Deadline) bool {
	late := due.Late()
	if late && !rev.Probe() {
		h.metrics.Late(verdict.Outcome())
	}
	return late
}

// record records a verdict, if there is a violation.
func (h *Handler) record(rev *review.Review, auth record.ClientAuth, verdict review.Verdict, late bool) review.Receipt {
	if len(verdict.Violations) == 0 {
		return review.Receipt{}
	}
	seq, written := h.recorder.Record(record.New(record.Origin{
		UID: string(rev.UID), User: rev.User.Username, ClientAuth: auth, Version: h.version, Probe: rev.Probe(),
		Late: late,
	}, &rev.Request, verdict.Decision))
	return review.Receipt{Boot: h.recorder.Boot(), Seq: seq, Missing: !written}
}

// recovered denies a write after a panic outside the policies, and records the denial unless the record is what panics.
func (h *Handler) recovered(
	rev *review.Review, auth record.ClientAuth, due deadline.Deadline, fault *review.PanicError,
) []byte {
	verdict := rev.Refuse("internal error")
	var receipt review.Receipt
	func() {
		defer func() { _ = recover() }() // the answer matters more
		receipt = h.record(rev, auth, verdict, h.late(rev, verdict, due))
		h.unevaluated(rev, fault)
	}()
	return rev.Answer(verdict, receipt)
}

// unevaluated logs and counts why a write could not be evaluated.
func (h *Handler) unevaluated(rev *review.Review, cause error) {
	log := h.log.WithValues("node", rev.Request.NodeName, "requestID", string(rev.UID))
	if fault, ok := errors.AsType[*review.PanicError](cause); ok {
		h.metrics.Panicked()
		log.Error(cause, "Evaluating a write panicked", "stack", string(fault.Stack))
		return
	}
	log.Info("A write could not be evaluated", "reason", cause.Error())
}

// clientAuth returns how the sender authenticated.
func clientAuth(r *http.Request) record.ClientAuth {
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		return record.ClientAuthMTLS
	}
	return record.ClientAuthNone
}
