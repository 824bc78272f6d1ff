// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"bytes"
	"net/http"
	"time"

	"noderestriction.plus/internal/denial"
	"noderestriction.plus/internal/review"
)

const (
	// maxBody is the largest review that is decoded, in bytes. An API server sends an object of up to 3 MiB and a
	// stored one of up to 1.5 MiB, of which JSON may write each byte as six: 27 MiB.
	maxBody = 32 << 20

	tooLarge = "the request is too large"
)

// review reads a review into the buffer, of which the review is a part from then on. One that is too large is
// unjudgeable, not refused: its sender's user may have made it so. What is not read by the given time is unjudgeable, too.
func (h *Handler) review(r *http.Request, buffer *bytes.Buffer, last time.Time) (*review.Review, *refusal) {
	large, refused := h.receive(r, buffer)
	switch {
	case refused != nil:
		return nil, refused
	case large:
		return head(buffer.Bytes(), tooLarge)
	}
	rev, err := h.reviews.DecodeUntil(buffer.Bytes(), last)
	if err != nil {
		return nil, &refusal{http.StatusBadRequest, denial.RefusedMalformed, err.Error()}
	}
	return rev, nil
}

// head is the review of a body that is not decoded for a reason, as far as its beginning tells.
func head(body []byte, reason string) (*review.Review, *refusal) {
	rev, err := review.DecodeHead(body[:min(len(body), maxHead)], reason)
	if err != nil {
		return nil, &refusal{http.StatusRequestEntityTooLarge, denial.RefusedMalformed, err.Error()}
	}
	return rev, nil
}
