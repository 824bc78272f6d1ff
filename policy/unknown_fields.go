package policy

import (
	"errors"
	"strconv"
)

// unknownChanges has a violation for each unknown field that differs between the objects.
func unknownChanges(r *Request, of *shape) []Violation {
	paths, err := r.UnknownChanges(of)
	switch {
	case errors.Is(err, errTooManyUnknown):
		return []Violation{{Detail: "must not have more than " + strconv.Itoa(maxUnknown) + " unknown fields"}}
	case err != nil:
		return []Violation{{Detail: "must be well-formed"}}
	}
	return appendViolation(nil, "", "must not change unknown field", paths)
}
