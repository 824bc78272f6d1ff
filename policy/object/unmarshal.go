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

// readQuantity reads a quantity. One that is not cheap, or not well-formed, becomes a number that stands for its text: two are equal
// if their texts are.
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

// Unmarshal decodes JSON into a type of k8s.io/api, in time and memory that do not depend on what the quantities in it say: one
// that is not cheap becomes another number, which stands for its text.
func Unmarshal(data []byte, into any) error {
	return json.Unmarshal(data, into, json.WithUnmarshalers(json.UnmarshalFromFunc(readQuantity)))
}
