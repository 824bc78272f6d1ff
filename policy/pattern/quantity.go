// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package pattern

import (
	"errors"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"k8s.io/apimachinery/pkg/api/resource"
)

// The time and memory to parse, compare and print a resource.Quantity grow with its exponent, up to hours and gigabytes for a text of ten
// characters. Therefore a quantity stays text until its form is known to be cheap.

const (
	maxPlainQuantity = 20 // characters
	maxCheapQuantity = 64 // characters
	maxExponent      = 3  // digits of the exponent of a cheap quantity
)

// QuantityText is a quantity as it was written, a JSON string or number.
type QuantityText string

// ErrNoQuantity means that a value is not a quantity.
var ErrNoQuantity = errors.New("must be a quantity")

// UnmarshalJSONFrom reads the text without parsing it.
func (q *QuantityText) UnmarshalJSONFrom(decoder *jsontext.Decoder) error {
	value, err := decoder.ReadValue()
	if err != nil {
		return err
	}
	text, ok := TextOfQuantity(value)
	if !ok {
		return ErrNoQuantity
	}
	*q = QuantityText(text)
	return nil
}

// TextOfQuantity returns the text of a quantity, which is empty for null. It returns false if the value cannot be a quantity.
func TextOfQuantity(value jsontext.Value) (string, bool) {
	switch value.Kind() {
	case jsontext.KindString:
		text, err := jsontext.AppendUnquote(nil, value)
		return strings.TrimSpace(string(text)), err == nil
	case jsontext.KindNumber:
		return string(value), true
	case jsontext.KindNull:
		return "", true
	}
	return "", false
}

// IsPlainQuantity reports whether a text is a quantity as kubelets and people write it: at most 20 characters, possibly with a decimal
// point, without an exponent.
func IsPlainQuantity(text string) bool {
	if len(text) > maxPlainQuantity {
		return false
	}
	text = strings.TrimPrefix(text, "-")
	number := text[:len(text)-len(strings.TrimLeft(text, "0123456789."))]
	if strings.Trim(number, ".") == "" || strings.Count(number, ".") > 1 {
		return false
	}
	switch text[len(number):] {
	case "", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei":
		return true
	}
	return false
}

// IsCheapQuantity reports whether a text is cheap to parse, compare and print as a quantity: it has at most 64 characters, and an exponent
// of at most three digits.
func IsCheapQuantity(text string) bool {
	return len(text) <= maxCheapQuantity && len(exponentOf(text)) <= maxExponent
}

// exponentOf returns the digits at the end of a text if an exponent sign precedes them.
func exponentOf(text string) string {
	rest := strings.TrimRight(text, "0123456789")
	digits := text[len(rest):]
	if rest = strings.TrimRight(rest, "+-"); strings.HasSuffix(rest, "e") || strings.HasSuffix(rest, "E") {
		return digits
	}
	return ""
}

// IsExpensiveNumber reports whether a text looks like a number and is not cheap as a quantity, in time linear in its length.
func IsExpensiveNumber[T ~string | ~[]byte](text T) bool {
	if len(text) < len("1e0000") {
		return false
	}
	digits, exponent := false, 0
	suffix := false
	for i := range len(text) {
		switch c := text[i]; {
		case c >= '0' && c <= '9':
			digits = true
			if suffix {
				exponent++
			}
		case c == '+' || c == '-' || c == '.' || c == ' ':
		case digits && strings.IndexByte("eEinumkKMGTP", c) >= 0:
			suffix = true
		default:
			return false
		}
	}
	return digits && (len(text) > maxCheapQuantity || exponent > maxExponent)
}

// ParseQuantity parses a quantity. It returns an error if the text is not cheap to parse.
func ParseQuantity(text QuantityText) (resource.Quantity, error) {
	switch {
	case text == "":
		return resource.Quantity{}, nil
	case !IsCheapQuantity(string(text)):
		return resource.Quantity{}, ErrNoQuantity
	}
	return resource.ParseQuantity(string(text))
}
