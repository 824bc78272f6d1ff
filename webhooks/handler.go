package webhooks

import (
	"bytes"
	"errors"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/time/rate"

	"noderestriction.plus/internal/denial"
	"noderestriction.plus/internal/record"
	"noderestriction.plus/internal/review"
	"noderestriction.plus/policy"
)

// maxPooledBuffer is the largest buffer that is kept for the next request, in bytes.
const maxPooledBuffer = 1 << 20

// PolicySource gives the policies in force, or nil as long as they are not known. It must not block.
type PolicySource interface {
	Set() *policy.Set
}

// Handler answers POST /admit: it judges what kubelets write. Who is not a kubelet is allowed at once.
//
// What an attacker can cause is denied: an object that cannot be read or is too large, a panic. What an outage causes,
// such as policies that are not known yet, is an HTTP error, so that the API server applies the failurePolicy.
type Handler struct {
	policies PolicySource
	facts    policy.Facts
	ledger   *denial.Ledger
	metrics  *denial.Metrics
	log      quietLog
	version  string
	buffers  sync.Pool // of *bytes.Buffer
	reviews  review.Decoder
}

var _ http.Handler = (*Handler)(nil)

// NewHandler returns a Handler. Facts must answer from memory. The version is that of this program, for the records.
func NewHandler(
	policies PolicySource, facts policy.Facts, ledger *denial.Ledger, metrics *denial.Metrics, version string,
	log logr.Logger,
) *Handler {
	return &Handler{
		policies: policies, facts: facts, ledger: ledger, metrics: metrics, version: version,
		log:     newQuietLog(log),
		buffers: sync.Pool{New: func() any { return new(bytes.Buffer) }},
	}
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	buffer := h.buffers.Get().(*bytes.Buffer)
	defer h.release(buffer)
	rev, refused := h.receive(r, buffer)
	var answer []byte
	if refused == nil {
		answer, refused = h.handle(rev, clientAuth(r))
	}
	if refused != nil {
		h.refuse(w, r, refused)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(answer) // a sender that has gone away needs no answer
}

// handle answers one review. A write that violates a policy is recorded before it is answered.
func (h *Handler) handle(rev *review.Review, auth record.ClientAuth) (answer []byte, refused *refusal) {
	defer func() {
		if cause := recover(); cause != nil {
			answer, refused = h.recovered(rev, auth, &review.PanicError{Value: cause, Stack: debug.Stack()}), nil
		}
	}()
	if !rev.Kubelet {
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
	return rev.Answer(verdict, h.record(rev, auth, verdict)), nil
}

// record records a verdict, if there is a violation.
func (h *Handler) record(rev *review.Review, auth record.ClientAuth, verdict review.Verdict) review.Receipt {
	if len(verdict.Violations) == 0 {
		return review.Receipt{}
	}
	seq, written := h.ledger.Record(record.New(record.Origin{
		UID: string(rev.UID), User: rev.User.Username, ClientAuth: auth, Version: h.version, Probe: rev.Probe(),
	}, &rev.Request, verdict.Decision))
	return review.Receipt{Boot: h.ledger.Boot(), Seq: seq, Missing: !written}
}

// recovered denies a write after a panic outside of the policies, and records the denial if the record is not what
// panics.
func (h *Handler) recovered(rev *review.Review, auth record.ClientAuth, fault *review.PanicError) []byte {
	verdict := rev.Refuse("internal error")
	var receipt review.Receipt
	func() {
		defer func() { _ = recover() }() // the answer matters more
		receipt = h.record(rev, auth, verdict)
		h.unjudged(rev, fault)
	}()
	return rev.Answer(verdict, receipt)
}

// unjudged logs and counts why a write could not be judged.
func (h *Handler) unjudged(rev *review.Review, cause error) {
	values := []any{"node", rev.Request.NodeName, "requestID", rev.UID}
	if fault, ok := errors.AsType[*review.PanicError](cause); ok {
		h.metrics.Panicked()
		h.log.error(cause, "Judging a write panicked", append(values, "stack", string(fault.Stack))...)
		return
	}
	h.log.info("A write could not be judged", append(values, "reason", cause.Error())...)
}

// refuse answers with an HTTP error.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, refused *refusal) {
	h.metrics.Refused(refused.reason)
	h.log.info("Refused a request", "remoteAddress", r.RemoteAddr, "status", refused.status, "reason", refused.text)
	if refused.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", http.MethodPost)
	}
	http.Error(w, refused.text, refused.status)
}

func (h *Handler) release(buffer *bytes.Buffer) {
	if buffer.Cap() <= maxPooledBuffer {
		buffer.Reset()
		h.buffers.Put(buffer)
	}
}

// clientAuth says how the sender proved who it is.
func clientAuth(r *http.Request) record.ClientAuth {
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		return record.ClientAuthMTLS
	}
	return record.ClientAuthNone
}

// quietLog is a log that a sender cannot fill: of infos and of errors, ten at first and then one in ten seconds.
type quietLog struct {
	log           logr.Logger
	infos, errors *rate.Sometimes
}

func newQuietLog(log logr.Logger) quietLog {
	sometimes := func() *rate.Sometimes { return &rate.Sometimes{First: 10, Interval: 10 * time.Second} }
	return quietLog{log: log, infos: sometimes(), errors: sometimes()}
}

func (l quietLog) info(msg string, keysAndValues ...any) {
	l.infos.Do(func() { l.log.Info(msg, keysAndValues...) })
}

func (l quietLog) error(err error, msg string, keysAndValues ...any) {
	l.errors.Do(func() { l.log.Error(err, msg, keysAndValues...) })
}
