// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"bytes"
	"errors"
	"mime"
	"net/http"
	"sync"

	"github.com/go-logr/logr"

	"noderestriction.plus/internal/denial"
	"noderestriction.plus/internal/review"
)

const (
	// maxPooledBuffer is the maximum size of a buffer that is kept for the next request, in bytes.
	maxPooledBuffer = 1 << 20
	// initialBuffer is the maximum size of the buffer that is allocated before a body has arrived, in bytes.
	initialBuffer = 64 << 10
)

// receiver receives requests for all handlers, and refuses what is not a review.
type receiver struct {
	metrics *denial.Metrics
	log     logr.Logger
	buffers sync.Pool // of *bytes.Buffer
	reviews review.Decoder
}

func newReceiver(metrics *denial.Metrics, log logr.Logger) receiver {
	return receiver{metrics: metrics, log: log, buffers: sync.Pool{New: func() any { return new(bytes.Buffer) }}}
}

// refusal is an HTTP error instead of a verdict.
type refusal struct {
	status int
	reason denial.Refusal
	text   string
}

// receive reads a body into the buffer, and only its beginning if the server finds it too large.
func (rc *receiver) receive(r *http.Request, buffer *bytes.Buffer) (large bool, refused *refusal) {
	if r.Method != http.MethodPost {
		return false, &refusal{http.StatusMethodNotAllowed, denial.RefusedMethod, "the method must be POST"}
	}
	if !isJSON(r.Header) {
		return false, &refusal{
			http.StatusUnsupportedMediaType, denial.RefusedMediaType,
			"the content must be application/json, without an encoding",
		}
	}
	if r.ContentLength > 0 {
		buffer.Grow(int(min(r.ContentLength, initialBuffer)) + bytes.MinRead)
	}
	_, err := buffer.ReadFrom(r.Body)
	if _, large = errors.AsType[*http.MaxBytesError](err); large || err == nil {
		return large, nil
	}
	return false, unreceived(err)
}

// unreceived returns the refusal of a request whose body could not be read. An error that has a status for the client, such
// as when the server has no room, determines it.
func unreceived(err error) *refusal {
	var shed interface {
		error
		StatusCode() int
	}
	if errors.As(err, &shed) {
		return &refusal{shed.StatusCode(), denial.RefusedBusy, shed.Error()}
	}
	return &refusal{http.StatusBadRequest, denial.RefusedBody, "the body could not be received"}
}

func isJSON(header http.Header) bool {
	const wanted = "application/json"
	if header.Get("Content-Encoding") != "" {
		return false
	}
	sent := header.Get("Content-Type")
	if sent == wanted {
		return true // as API servers send it
	}
	mediaType, _, err := mime.ParseMediaType(sent)
	return err == nil && mediaType == wanted
}

// refuse answers with an HTTP error. The log is bounded by its owner.
func (rc *receiver) refuse(w http.ResponseWriter, r *http.Request, refused *refusal) {
	rc.metrics.Refused(refused.reason)
	rc.log.Info("Refused a request", "remoteAddress", r.RemoteAddr, "status", refused.status, "reason", refused.text)
	if refused.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", http.MethodPost)
	}
	http.Error(w, refused.text, refused.status)
}

// answer answers with a review.
func (rc *receiver) answer(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body) // a sender that is gone needs no answer
}

func (rc *receiver) buffer() *bytes.Buffer { return rc.buffers.Get().(*bytes.Buffer) }

func (rc *receiver) release(buffer *bytes.Buffer) {
	if buffer.Cap() <= maxPooledBuffer {
		buffer.Reset()
		rc.buffers.Put(buffer)
	}
}
