// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package object

import (
	"bytes"
	"errors"

	"github.com/go-json-experiment/json/jsontext"
)

// maxValues is the largest number of values that are decoded for a request. A value of two bytes may take a hundred times as much memory
// when it is decoded, so bounding bytes alone does not bound memory. Only values that are kept count, so that a pod with hundreds of
// thousands of arguments does not keep its kubelet from reporting its status.
const maxValues = 200_000

var errTooManyValues = errors.New("has too many values")

// anyDepth counts values at any depth.
const anyDepth = 1 << 30

// keptDepth returns the depth down to which the values of a part are kept when it is decoded. Deeper values are skipped, or kept as text.
func (id partID) keptDepth() int {
	switch id {
	case otherTop, otherMetadata, otherSpec, otherStatus, specSchedulingGroup, specResourceClaims, specAffinity, statusConfig,
		statusVolumesAttached:
		return 0
	case specContainers, specInitContainers, specEphemeralContainers, specTopologySpreadConstraints,
		statusConditions, statusContainerStatuses, statusInitContainerStatuses, statusEphemeralContainerStatuses:
		return 1
	case specVolumes:
		return 4 // the sources of projected volumes
	}
	return anyDepth
}

// countValues returns the number of values down to a depth: one more than the commas outside of strings.
func countValues(value jsontext.Value, depth int) int {
	n, at := 1, 0
	for i := 0; i < len(value); i++ {
		switch value[i] {
		case '"':
			_, end := textAt(value, i+1)
			i = end - 1
		case '[', '{':
			at++
		case ']', '}':
			at--
		case ',':
			if at <= depth {
				n++
			}
		}
	}
	return n
}

// valueBudget is the number of values of a request that may still be decoded.
type valueBudget int

// take subtracts the values of a part. It returns an error if there are too many.
func (b *valueBudget) take(id partID, value jsontext.Value) error {
	depth := id.keptDepth()
	n := bytes.Count(value, []byte(","))
	if n > 1000 {
		n = countValues(value, depth)
	}
	if *b -= valueBudget(n); *b < 0 {
		return errTooManyValues
	}
	return nil
}

// hasFewValues reports whether a whole object may be decoded.
func hasFewValues(object []byte) bool {
	return bytes.Count(object, []byte(",")) <= maxValues || countValues(object, anyDepth) <= maxValues
}
