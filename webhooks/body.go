package webhooks

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"

	"noderestriction.plus/internal/denial"
	"noderestriction.plus/internal/review"
)

const (
	// maxBody is the largest review that is decoded, in bytes. An API server sends an object of up to 3 MiB and a
	// stored one of up to 1.5 MiB, of which JSON may write each byte as six: 27 MiB.
	maxBody = 32 << 20
	// maxHead is as much as is decoded of a review that is larger: what precedes the object is far shorter.
	maxHead = 128 << 10
	// maxDrain is as much as is read and dropped after that. A sender that is cut off while it writes may not read its
	// answer.
	maxDrain = 8 * maxBody
	// initialBuffer is as much as is set aside for a body on the word of its length alone.
	initialBuffer = 64 << 10

	tooLarge = "the request is too large"
)

// refusal is an HTTP error in the place of a verdict.
type refusal struct {
	status int
	reason denial.Refusal
	text   string
}

// receive reads a review into the buffer, of which the review is a part from then on. One that is too large is
// unjudgeable, not refused: its sender's user may have made it so.
func (h *Handler) receive(r *http.Request, buffer *bytes.Buffer) (*review.Review, *refusal) {
	if r.Method != http.MethodPost {
		return nil, &refusal{http.StatusMethodNotAllowed, denial.RefusedMethod, "the method must be POST"}
	}
	if !isJSON(r.Header) {
		return nil, &refusal{
			http.StatusUnsupportedMediaType, denial.RefusedMediaType,
			"the content must be application/json, without an encoding",
		}
	}
	large, err := read(r, buffer)
	if err != nil {
		return nil, unreceived(err)
	}
	if large {
		return head(buffer.Bytes(), tooLarge)
	}
	rev, err := h.reviews.Decode(buffer.Bytes())
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

// read reads the body, or the beginning of one that is too large.
func read(r *http.Request, buffer *bytes.Buffer) (large bool, err error) {
	limit := int64(maxBody + 1)
	if r.ContentLength > maxBody {
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
	if large = r.ContentLength > maxBody || buffer.Len() > maxBody; large {
		_, _ = io.CopyN(io.Discard, r.Body, maxDrain) // the answer is the same whatever comes
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
