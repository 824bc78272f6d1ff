// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package review

import (
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"noderestriction.plus/policy/object"
)

// An envelope is read token by token, without reflection: this runs for each write by a kubelet. As in the API server, null means
// that a field is omitted.

// members reads an object.
func (e *envelope) members(of jsonObject) error {
	at := string(of)
	start, err := e.token(at)
	if err != nil || start.Kind() == jsontext.KindNull {
		return err
	}
	if start.Kind() != jsontext.KindBeginObject {
		return fmt.Errorf("%s: must be a JSON object", at)
	}
	for e.decoder.PeekKind() != jsontext.KindEndObject {
		name, err := object.ReadName(e.decoder)
		if err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
		if err := e.member(of, string(name)); err != nil {
			return err
		}
		if err := e.step(); err != nil {
			return err
		}
	}
	_, err = e.token(at)
	return err
}

// text reads a string.
func (e *envelope) text(at string, into *string) error {
	token, err := e.token(at)
	switch {
	case err != nil:
		return err
	case token.Kind() == jsontext.KindNull:
		return nil
	case token.Kind() != jsontext.KindString:
		return fmt.Errorf("%s: must be a string", at)
	}
	*into = token.String()
	return nil
}

// texts reads a list of strings, and keeps at most maxGroups.
func (e *envelope) texts(at string, into *[]string) error {
	start, err := e.token(at)
	if err != nil || start.Kind() == jsontext.KindNull {
		return err
	}
	if start.Kind() != jsontext.KindBeginArray {
		return fmt.Errorf("%s: must be a list of strings", at)
	}
	for e.decoder.PeekKind() != jsontext.KindEndArray {
		if err := e.step(); err != nil {
			return err
		}
		if len(*into) >= maxGroups {
			e.excess = true
			if err := e.decoder.SkipValue(); err != nil {
				return fmt.Errorf("%s: %w", at, err)
			}
			continue
		}
		var text string
		if err := e.text(at, &text); err != nil {
			return err
		}
		*into = append(*into, text)
	}
	_, err = e.token(at)
	return err
}

// flag reads a boolean.
func (e *envelope) flag(at string, into *bool) error {
	token, err := e.token(at)
	switch {
	case err != nil:
		return err
	case token.Kind() == jsontext.KindNull:
		return nil
	case token.Kind() != jsontext.KindTrue && token.Kind() != jsontext.KindFalse:
		return fmt.Errorf("%s: must be true or false", at)
	}
	*into = token.Bool()
	return nil
}

func (e *envelope) token(at string) (jsontext.Token, error) {
	token, err := e.decoder.ReadToken()
	if err != nil {
		return token, fmt.Errorf("%s: %w", at, err)
	}
	return token, nil
}
