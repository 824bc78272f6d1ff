// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Quantity is a quantity such as 16 or 64Gi, without a sign or an exponent and of at most 20 characters. It is kept as it was
// written: decoding a policy costs the same whatever its quantities say.
//
// +kubebuilder:validation:Type=""
// +kubebuilder:validation:XIntOrString
// +kubebuilder:validation:MaxLength=20
// +kubebuilder:validation:Pattern=`^[0-9]+(\.[0-9]+)?([numkMGTPE]|[KMGTPE]i)?$`
type Quantity string

// UnmarshalJSON reads a string or a number.
func (q *Quantity) UnmarshalJSON(raw []byte) error {
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return nil
	case raw[0] == '"':
		return json.Unmarshal(raw, (*string)(q))
	case strings.IndexByte("-0123456789", raw[0]) < 0:
		return fmt.Errorf("a quantity must be a string or a number, not %.16q", raw)
	}
	*q = Quantity(raw)
	return nil
}
