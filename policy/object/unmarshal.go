// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package object

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"k8s.io/apimachinery/pkg/api/resource"

	"noderestriction.plus/policy/pattern"
)

// readQuantity reads a quantity. A quantity that is expensive or not well-formed is replaced by a hash of its text, so that two of them
// are equal if their texts are.
func readQuantity(decoder *jsontext.Decoder, into *resource.Quantity) error {
	value, err := decoder.ReadValue()
	if err != nil {
		return err
	}
	text, ok := pattern.TextOfQuantity(value)
	if !ok {
		return pattern.ErrNoQuantity
	}
	quantity, err := pattern.ParseQuantity(pattern.QuantityText(text))
	if err != nil {
		sum := sha256.Sum256([]byte(text))
		quantity = *resource.NewQuantity(int64(binary.LittleEndian.Uint64(sum[:])>>1), resource.DecimalSI)
	}
	*into = quantity
	return nil
}

// Unmarshal decodes JSON into a type of k8s.io/api. It does not parse quantities that are expensive to parse, such as 1e60000: they are
// replaced by numbers that are equal if the texts are.
func Unmarshal(data []byte, into any) error {
	return json.Unmarshal(data, into, json.WithUnmarshalers(json.UnmarshalFromFunc(readQuantity)))
}
