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

// Condition is a condition of a Node or a pod. Only its type is decoded, because rules do not compare the conditions that a kubelet
// writes with each heartbeat.
type Condition struct {
	Type  string
	value jsontext.Value // the whole condition, as it was sent
}

// conditionFields are the fields by which conditions are compared. Times are compared as text.
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

// Same reports whether two conditions are equal. A condition that cannot be decoded equals only one with the same bytes.
func (c Condition) Same(other Condition) bool {
	if bytes.Equal(c.value, other.value) {
		return true
	}
	var a, b conditionFields
	return json.Unmarshal(c.value, &a) == nil && json.Unmarshal(other.value, &b) == nil && a == b
}

// Reason returns the reason of the condition, and "" if the condition cannot be decoded.
func (c Condition) Reason() string { return c.fields().Reason }

// ObservedGeneration returns the observed generation of the condition, and 0 if the condition cannot be decoded.
func (c Condition) ObservedGeneration() int64 { return c.fields().ObservedGeneration }

func (c Condition) fields() (fields conditionFields) {
	if json.Unmarshal(c.value, &fields) != nil {
		return conditionFields{}
	}
	return fields
}

// Conditions are the conditions of a Node or a pod.
type Conditions []Condition

// usualConditions is the initial capacity for conditions.
const usualConditions = 8

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
	*cs = make(Conditions, 0, usualConditions)
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

// ByType groups conditions by type, without the types for which except returns true. A type may have several conditions.
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
