// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package object

import (
	"bytes"
	"strconv"

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

// Reason returns the reason of the condition, and "" if it is not a string.
func (c Condition) Reason() string {
	reason, _ := jsontext.AppendUnquote(nil, memberOf(c.value, "reason"))
	return string(reason)
}

// ObservedGeneration returns the observed generation of the condition, and 0 if it is not an integer.
func (c Condition) ObservedGeneration() int64 {
	generation, err := strconv.ParseInt(string(memberOf(c.value, "observedGeneration")), 10, 64)
	if err != nil {
		return 0
	}
	return generation
}

// Conditions are the conditions of a Node or a pod.
type Conditions []Condition

// read reads the elements of a list of conditions.
func (cs *Conditions) read(list []jsontext.Value) error {
	*cs = make(Conditions, len(list))
	for i, value := range list {
		conditionType, err := nameIn(value, "type")
		if err != nil {
			return err
		}
		(*cs)[i] = Condition{conditionType, value}
	}
	return nil
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
