// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"sync"

	"github.com/go-logr/logr"

	"noderestriction.plus/internal/denial"
	"noderestriction.plus/internal/review"
)

const (
	// maxPooledBuffer is the largest buffer that is kept for the next request, in bytes.
	maxPooledBuffer = 1 << 20
	// maxHead is as much as is decoded of a review that is larger: what precedes the object is far shorter.
	maxHead = 128 << 10
	// drained is how many times the largest body is read and dropped after that. A sender that is cut off while it
	// writes may not read its answer.
	drained = 8
	// initialBuffer is as much as is set aside for a body on the word of its length alone.
	initialBuffer = 64 << 10
)

// receiver receives requests, for every handler alike, and refuses what is no review.
type receiver struct {
	maxBody int64 // the largest body that is decoded, in bytes
	metrics *denial.Metrics
	log     quietLog
	buffers sync.Pool // of *bytes.Buffer
	reviews review.Decoder
}

func newReceiver(maxBody int64, metrics *denial.Metrics, log logr.Logger) receiver {
	return receiver{
		maxBody: maxBody, metrics: metrics, log: newQuietLog(log),
		buffers: sync.Pool{New: func() any { return new(bytes.Buffer) }},
	}
}

// refusal is an HTTP error in the place of a verdict.
type refusal struct {
	status int
	reason denial.Refusal
	text   string
}

// receive reads a body into the buffer, and only its beginning if it is too large.
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
	large, err := rc.read(r, buffer)
	if err != nil {
		return false, unreceived(err)
	}
	return large, nil
}

// read reads the body, or the beginning of one that is too large.
func (rc *receiver) read(r *http.Request, buffer *bytes.Buffer) (large bool, err error) {
	limit := rc.maxBody + 1
	if r.ContentLength > rc.maxBody {
		limit = maxHead
	}
	if r.ContentLength > 0 {
		buffer.Grow(int(min(r.ContentLength, initialBuffer)) + bytes.MinRead)
	}
	_, err = buffer.ReadFrom(io.LimitReader(r.Body, limit))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	if large = r.ContentLength > rc.maxBody || int64(buffer.Len()) > rc.maxBody; large {
		_, _ = io.CopyN(io.Discard, r.Body, drained*rc.maxBody) // the answer is the same whatever comes
	}
	return large, nil
}

// unreceived is the refusal of a request whose body could not be read. An error that has a status for the client, as
// when the server has no room, decides itself.
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
	mediaType, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	return err == nil && mediaType == "application/json" && header.Get("Content-Encoding") == ""
}

// refuse answers with an HTTP error.
func (rc *receiver) refuse(w http.ResponseWriter, r *http.Request, refused *refusal) {
	rc.metrics.Refused(refused.reason)
	rc.log.info("Refused a request", "remoteAddress", r.RemoteAddr, "status", refused.status, "reason", refused.text)
	if refused.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", http.MethodPost)
	}
	http.Error(w, refused.text, refused.status)
}

// answer answers with a review.
func (rc *receiver) answer(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body) // a sender that has gone away needs no answer
}

func (rc *receiver) buffer() *bytes.Buffer { return rc.buffers.Get().(*bytes.Buffer) }

func (rc *receiver) release(buffer *bytes.Buffer) {
	if buffer.Cap() <= maxPooledBuffer {
		buffer.Reset()
		rc.buffers.Put(buffer)
	}
}
