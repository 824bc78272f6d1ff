package policy

import (
	"errors"
	"strconv"

	"noderestriction.plus/policy/object"
)

// unknownChanges has a violation for each unknown field that differs between the objects.
func unknownChanges(r *Request, of *object.Shape) []Violation {
	paths, err := r.UnknownChanges(of)
	switch {
	case errors.Is(err, object.ErrTooManyUnknown):
		return []Violation{{Detail: "must not have more than " + strconv.Itoa(object.MaxUnknown) + " unknown fields"}}
	case err != nil:
		return []Violation{{Detail: "must be well-formed"}}
	}
	return appendViolation(nil, "", "must not change unknown field", paths)
}
