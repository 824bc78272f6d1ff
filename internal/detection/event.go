// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package detection evaluates the rules of config/detection on audit events, for tests: as much of the languages of Falco and Sigma as
// these rules use. Anything else in a rule is an error.
package detection

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Event is an event of an audit log.
type Event struct {
	text   string
	fields map[string]any
}

// ParseEvent reads a line of an audit log.
func ParseEvent(line []byte) (*Event, error) {
	e := &Event{text: string(line)}
	if err := json.Unmarshal(line, &e.fields); err != nil {
		return nil, err
	}
	return e, nil
}

// at returns the text at a path, and false if there is nothing. What is no text is returned as JSON.
func (e *Event) at(path ...string) (string, bool) {
	var value any = e.fields
	for _, key := range path {
		object, _ := value.(map[string]any)
		if value = object[key]; value == nil {
			return "", false
		}
	}
	if s, is := value.(string); is {
		return s, true
	}
	data, err := json.Marshal(value)
	return string(data), err == nil
}

// Rule is a rule of either language.
type Rule struct {
	Name string
	// Matches reports whether the rule fires for an event.
	Matches func(*Event) bool
}

type matcher = func(*Event) bool

// condition parses a condition of and, or, not and parentheses, which both languages have. leaf parses everything else.
type condition struct {
	tokens []string
	leaf   func(*condition) (matcher, error)
}

func (c *condition) parse() (matcher, error) {
	m, err := c.or()
	if err == nil && len(c.tokens) > 0 {
		err = fmt.Errorf("unexpected %q", c.tokens[0])
	}
	return m, err
}

// next removes the first token and returns it, or an empty text at the end.
func (c *condition) next() string {
	if len(c.tokens) == 0 {
		return ""
	}
	token := c.tokens[0]
	c.tokens = c.tokens[1:]
	return token
}

// accept removes the first token if it is the given one.
func (c *condition) accept(token string) bool {
	if len(c.tokens) == 0 || c.tokens[0] != token {
		return false
	}
	c.tokens = c.tokens[1:]
	return true
}

func (c *condition) or() (matcher, error) {
	left, err := c.and()
	for err == nil && c.accept("or") {
		first, second := left, matcher(nil)
		second, err = c.and()
		left = func(e *Event) bool { return first(e) || second(e) }
	}
	return left, err
}

func (c *condition) and() (matcher, error) {
	left, err := c.not()
	for err == nil && c.accept("and") {
		first, second := left, matcher(nil)
		second, err = c.not()
		left = func(e *Event) bool { return first(e) && second(e) }
	}
	return left, err
}

func (c *condition) not() (matcher, error) {
	switch {
	case c.accept("not"):
		m, err := c.not()
		return func(e *Event) bool { return !m(e) }, err
	case c.accept("("):
		m, err := c.or()
		if err == nil && !c.accept(")") {
			err = fmt.Errorf("%q is not closed", "(")
		}
		return m, err
	}
	return c.leaf(c)
}

// unquote removes the quotes of a text.
func unquote(token string) string {
	if len(token) >= 2 && strings.ContainsAny(token[:1], `"'`) && token[0] == token[len(token)-1] {
		return token[1 : len(token)-1]
	}
	return token
}
