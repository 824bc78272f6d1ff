// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package object

import (
	"bytes"
	"cmp"
	"errors"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Condition is a condition of a Node or a pod. A kubelet writes most of them with each heartbeat, and rules look at the others only,
// so that no more than the type is decoded.
type Condition struct {
	Type  string
	value jsontext.Value // all of it, as it stands in the object
}

// conditionFields are the fields in which conditions are compared. Times are text.
type conditionFields struct {
	Type               string `json:"type"`
	Status             string `json:"status"`
	Reason             string `json:"reason"`
	Message            string `json:"message"`
	LastHeartbeatTime  string `json:"lastHeartbeatTime"`
	LastProbeTime      string `json:"lastProbeTime"`
	LastTransitionTime string `json:"lastTransitionTime"`
	ObservedGeneration int64  `json:"observedGeneration"`
}

// Same reports whether two conditions say the same. What cannot be read is not the same.
func (c Condition) Same(other Condition) bool {
	if bytes.Equal(c.value, other.value) {
		return true
	}
	var a, b conditionFields
	return json.Unmarshal(c.value, &a) == nil && json.Unmarshal(other.value, &b) == nil && a == b
}

// Conditions are the conditions of a Node or a pod.
type Conditions []Condition

// maxConditions is for how many conditions there is room from the start.
const maxConditions = 8

var errNoConditions = errors.New("must be a list of conditions")

// read reads a list of conditions.
func (cs *Conditions) read(list jsontext.Value) error {
	decoder := NewDecoder(list)
	if list.Kind() == jsontext.KindNull {
		return nil
	}
	if start, err := decoder.ReadToken(); err != nil || start.Kind() != jsontext.KindBeginArray {
		return cmp.Or(err, errNoConditions)
	}
	*cs = make(Conditions, 0, maxConditions)
	for decoder.PeekKind() != jsontext.KindEndArray {
		c, err := readCondition(decoder, list)
		if err != nil {
			return err
		}
		*cs = append(*cs, c)
	}
	_, err := decoder.ReadToken()
	return err
}

func readCondition(decoder *jsontext.Decoder, list jsontext.Value) (c Condition, err error) {
	if start, err := decoder.ReadToken(); err != nil || start.Kind() != jsontext.KindBeginObject {
		return c, cmp.Or(err, errNoConditions)
	}
	start := decoder.InputOffset() - 1
	for decoder.PeekKind() != jsontext.KindEndObject {
		name, err := ReadName(decoder)
		if err != nil {
			return c, err
		}
		if string(name) != "type" {
			if err := decoder.SkipValue(); err != nil {
				return c, err
			}
			continue
		}
		value, err := decoder.ReadToken()
		if err != nil || value.Kind() != jsontext.KindString {
			return c, cmp.Or(err, errNoConditions)
		}
		c.Type = value.String()
	}
	if _, err := decoder.ReadToken(); err != nil {
		return c, err
	}
	c.value = list[start:decoder.InputOffset()]
	return c, nil
}

// ByType groups conditions, so that a second one of a type does not hide behind the first.
func (cs Conditions) ByType(except func(conditionType string) bool) map[string]Conditions {
	var groups map[string]Conditions
	for _, c := range cs {
		if except(c.Type) {
			continue
		}
		if groups == nil {
			groups = map[string]Conditions{}
		}
		groups[c.Type] = append(groups[c.Type], c)
	}
	return groups
}
