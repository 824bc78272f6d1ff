// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package object

import (
	"bytes"
	"errors"

	"github.com/go-json-experiment/json/jsontext"
)

// maxValues is how many values of a request are decoded. A value that is written in two bytes takes up to a hundred times as much
// memory, so that bounding bytes alone does not bound memory. Only what is kept counts: whoever makes a pod with arguments by the
// hundred thousand must not keep its kubelet from reporting its status.
const maxValues = 200_000

var errTooManyValues = errors.New("has too many values")

// anyDepth counts the values at every depth.
const anyDepth = 1 << 30

// keptDepth is down to which depth the values of a part are kept when it is decoded. The rest is skipped, or kept as it stands.
func (id partID) keptDepth() int {
	switch id {
	case otherTop, otherMetadata, otherSpec, otherStatus, specSchedulingGroup, specAffinity, statusConfig, statusVolumesAttached:
		return 0
	case specContainers, specInitContainers, specEphemeralContainers, specVolumes, specTopologySpreadConstraints,
		statusConditions, statusContainerStatuses, statusInitContainerStatuses, statusEphemeralContainerStatuses:
		return 1
	}
	return anyDepth
}

// countValues is how many values JSON has down to a depth: commas that are not in strings, and one.
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

// valueBudget is how many values of a request may still be decoded.
type valueBudget int

// take takes room for the values of a part.
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

// hasFewValues reports whether a whole object has few enough values to be decoded.
func hasFewValues(object []byte) bool {
	return bytes.Count(object, []byte(",")) <= maxValues || countValues(object, anyDepth) <= maxValues
}
