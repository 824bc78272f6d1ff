// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"errors"
	"strconv"

	"noderestriction.plus/policy"
	"noderestriction.plus/policy/object"
)

// unknownChanges returns a violation with the unknown fields that differ between the objects.
func unknownChanges(r *policy.Request, of *object.Shape) []policy.Violation {
	paths, err := r.UnknownChanges(of)
	switch {
	case errors.Is(err, object.ErrTooManyUnknown):
		return []policy.Violation{{Detail: "must not have more than " + strconv.Itoa(object.MaxUnknown) + " unknown fields"}}
	case err != nil:
		return malformed("")
	}
	return appendViolation(nil, "", "must not change unknown field", paths)
}
