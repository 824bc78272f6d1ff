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

// PolicySource gives the policies in force, or nil as long as they are not known. It must not block.
type PolicySource interface {
	Set() *policy.Set
}

// Handler answers POST /admit: it judges what kubelets write. Who is not a kubelet is allowed at once.
//
// What an attacker can cause is denied: an object that cannot be read, is too large or takes too long, a panic. What an outage causes,
// such as policies that are not known yet, is an HTTP error, so that the API server applies the failurePolicy.
type Handler struct {
	receiver

	policies PolicySource
	facts    policy.Facts
	ledger   *denial.Ledger
	version  string
}

var _ http.Handler = (*Handler)(nil)

// NewHandler returns a Handler. Facts must answer from memory. The version is that of this program, for the records.
func NewHandler(
	policies PolicySource, facts policy.Facts, ledger *denial.Ledger, metrics *denial.Metrics, version string,
	log logr.Logger,
) *Handler {
	return &Handler{
		receiver: newReceiver(maxBody, metrics, log),
		policies: policies, facts: facts, ledger: ledger, version: version,
	}
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	due := deadline.Of(r, time.Now())
	buffer := h.buffer()
	defer h.release(buffer)
	rev, refused := h.review(r, buffer, due.Last())
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
	if !rev.Kubelet {
		h.late(rev, review.Verdict{}, due)
		return rev.Answer(review.Verdict{}, review.Receipt{}), nil
	}
	set := h.policies.Set()
	if set == nil {
		return nil, &refusal{http.StatusServiceUnavailable, denial.RefusedNotSynced, "the policies are not known yet"}
	}
	start := time.Now()
	verdict := rev.Judge(set, h.facts)
	if !rev.Probe() {
		h.metrics.Evaluated(&rev.Request, verdict.Decision, time.Since(start))
	}
	if verdict.Err != nil {
		h.unjudged(rev, verdict.Err)
	}
	return rev.Answer(verdict, h.record(rev, auth, verdict, h.late(rev, verdict, due))), nil
}

// late reports whether nobody waits for the verdict any more, and counts it then.
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
	seq, written := h.ledger.Record(record.New(record.Origin{
		UID: string(rev.UID), User: rev.User.Username, ClientAuth: auth, Version: h.version, Probe: rev.Probe(),
		Late: late,
	}, &rev.Request, verdict.Decision))
	return review.Receipt{Boot: h.ledger.Boot(), Seq: seq, Missing: !written}
}

// recovered denies a write after a panic outside of the policies, and records the denial if the record is not what
// panics.
func (h *Handler) recovered(
	rev *review.Review, auth record.ClientAuth, due deadline.Deadline, fault *review.PanicError,
) []byte {
	verdict := rev.Refuse("internal error")
	var receipt review.Receipt
	func() {
		defer func() { _ = recover() }() // the answer matters more
		receipt = h.record(rev, auth, verdict, h.late(rev, verdict, due))
		h.unjudged(rev, fault)
	}()
	return rev.Answer(verdict, receipt)
}

// unjudged logs and counts why a write could not be judged.
func (h *Handler) unjudged(rev *review.Review, cause error) {
	values := []any{"node", rev.Request.NodeName, "requestID", string(rev.UID)}
	if fault, ok := errors.AsType[*review.PanicError](cause); ok {
		h.metrics.Panicked()
		h.log.panicked("Judging a write panicked", cause.Error(), string(fault.Stack), values...)
		return
	}
	h.log.info("A write could not be judged", append(values, "reason", cause.Error())...)
}

// clientAuth says how the sender proved who it is.
func clientAuth(r *http.Request) record.ClientAuth {
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		return record.ClientAuthMTLS
	}
	return record.ClientAuthNone
}
