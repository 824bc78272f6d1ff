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

const tooLarge = "the request is too large"

// receiveReview reads a review into buffer; the review aliases it. A review that is too large, or is not read by the given time, is
// undecodable and not refused: the user who wrote the object may have caused that.
func (h *Handler) receiveReview(r *http.Request, buffer *bytes.Buffer, last time.Time) (*review.Review, *refusal) {
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

// head returns what the beginning of a body says about a review that is not decoded for a reason.
func head(body []byte, reason string) (*review.Review, *refusal) {
	rev, err := review.DecodeHead(body, reason)
	if err != nil {
		return nil, &refusal{http.StatusRequestEntityTooLarge, denial.RefusedMalformed, err.Error()}
	}
	return rev, nil
}
