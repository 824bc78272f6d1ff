// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package detection

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

// sigma is a rule of Sigma.
type sigma struct {
	Title          string            `json:"title"`
	ID             string            `json:"id"`
	Status         string            `json:"status"`
	Description    string            `json:"description"`
	References     []string          `json:"references"`
	Author         string            `json:"author"`
	Date           string            `json:"date"`
	License        string            `json:"license"`
	Tags           []string          `json:"tags"`
	Logsource      map[string]string `json:"logsource"`
	Detection      map[string]any    `json:"detection"`
	Fields         []string          `json:"fields"`
	FalsePositives []string          `json:"falsepositives"`
	Level          string            `json:"level"`
}

const (
	uuid    = `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`
	isoDate = `^20\d\d-\d\d-\d\d$`
)

// Sigma reads a rule of Sigma.
func Sigma(data []byte) (Rule, error) {
	var s sigma
	if err := yaml.UnmarshalStrict(data, &s); err != nil {
		return Rule{}, err
	}
	source := map[string]string{"product": "kubernetes", "service": "audit"}
	if s.Title == "" || !matches(uuid, s.ID) || s.Status != "experimental" || s.Description == "" || !matches(isoDate, s.Date) ||
		!maps.Equal(s.Logsource, source) || len(s.FalsePositives) == 0 ||
		!slices.Contains([]string{"low", "medium", "high", "critical"}, s.Level) {
		return Rule{}, fmt.Errorf("title %q, id %q, status %q, description %q, date %q, log source %v, false positives %q, level %q",
			s.Title, s.ID, s.Status, s.Description, s.Date, s.Logsource, s.FalsePositives, s.Level)
	}
	searches := map[string]matcher{}
	for name, search := range s.Detection {
		if name == "condition" {
			continue
		}
		m, err := anyOf(search)
		if err != nil {
			return Rule{}, fmt.Errorf("%s: %w", name, err)
		}
		searches[name] = m
	}
	text, _ := s.Detection["condition"].(string)
	tokens := regexp.MustCompile(`[()]|[^\s()]+`).FindAllString(text, -1)
	c := condition{tokens: tokens, leaf: func(c *condition) (matcher, error) { return search(c, searches) }}
	m, err := c.parse()
	return Rule{s.Title, m}, err
}

func matches(pattern, text string) bool { return regexp.MustCompile(pattern).MatchString(text) }

// search parses the name of a search, or the form "1 of name_*".
func search(c *condition, searches map[string]matcher) (matcher, error) {
	name := c.next()
	if name != "1" {
		if searches[name] == nil {
			return nil, fmt.Errorf("unknown search %q", name)
		}
		return searches[name], nil
	}
	if !c.accept("of") {
		return nil, fmt.Errorf("unexpected %q", name)
	}
	prefix, is := strings.CutSuffix(c.next(), "*")
	var some []matcher
	for name, m := range searches {
		if strings.HasPrefix(name, prefix) {
			some = append(some, m)
		}
	}
	if !is || len(some) == 0 {
		return nil, fmt.Errorf("there is no search %q", prefix+"*")
	}
	return func(e *Event) bool { return slices.ContainsFunc(some, func(m matcher) bool { return m(e) }) }, nil
}

// anyOf reads a search: a map, or a list of maps. One of them must match.
func anyOf(value any) (matcher, error) {
	list, is := value.([]any)
	if !is {
		return allOf(value)
	}
	var some []matcher
	for _, v := range list {
		m, err := allOf(v)
		if err != nil {
			return nil, err
		}
		some = append(some, m)
	}
	return func(e *Event) bool { return slices.ContainsFunc(some, func(m matcher) bool { return m(e) }) }, nil
}

// allOf reads a map. Each entry must match.
func allOf(value any) (matcher, error) {
	entries, is := value.(map[string]any)
	if !is {
		return nil, fmt.Errorf("%v is no map", value)
	}
	var all []matcher
	for key, want := range entries {
		m, err := entry(key, want)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		all = append(all, m)
	}
	return func(e *Event) bool { return !slices.ContainsFunc(all, func(m matcher) bool { return !m(e) }) }, nil
}

// entry reads a field with its modifiers and what it must be. Without a field it is about the whole event.
func entry(key string, want any) (matcher, error) {
	parts := strings.Split(key, "|")
	field, modifiers := parts[0], parts[1:]
	if exists, is := want.(bool); is && slices.Equal(modifiers, []string{"exists"}) {
		return func(e *Event) bool { _, found := e.field(field); return found == exists }, nil
	}
	every := len(modifiers) > 0 && modifiers[len(modifiers)-1] == "all"
	if every {
		modifiers = modifiers[:len(modifiers)-1]
	}
	if field == "" { // words are looked for anywhere
		modifiers = []string{"contains"}
	}
	compare, err := comparison(strings.Join(modifiers, "|"))
	if err != nil {
		return nil, err
	}
	values, err := texts(want)
	if err != nil {
		return nil, err
	}
	return func(e *Event) bool {
		value, found := e.field(field)
		equal := func(with string) bool { return compare(strings.ToLower(value), strings.ToLower(with)) }
		if every {
			return found && !slices.ContainsFunc(values, func(with string) bool { return !equal(with) })
		}
		return found && slices.ContainsFunc(values, equal)
	}, nil
}

func comparison(modifier string) (func(value, with string) bool, error) {
	number := func(s string) float64 { n, _ := strconv.ParseFloat(s, 64); return n }
	switch modifier {
	case "":
		return func(a, b string) bool { return a == b }, nil
	case "contains":
		return strings.Contains, nil
	case "startswith":
		return strings.HasPrefix, nil
	case "gte":
		return func(a, b string) bool { return number(a) >= number(b) }, nil
	case "lt":
		return func(a, b string) bool { return number(a) < number(b) }, nil
	}
	return nil, fmt.Errorf("unknown modifier %q", modifier)
}

// texts returns a value, or those of a list, as texts. Wildcards are not expected.
func texts(value any) ([]string, error) {
	list, is := value.([]any)
	if !is {
		list = []any{value}
	}
	var all []string
	for _, v := range list {
		switch v.(type) {
		case string, float64, int64:
		default:
			return nil, fmt.Errorf("%v is neither a text nor a number", v)
		}
		text := fmt.Sprint(v)
		if strings.ContainsAny(text, `*?\`) {
			return nil, fmt.Errorf("%q has a wildcard", text)
		}
		all = append(all, text)
	}
	return all, nil
}

// field returns the value of a field of Sigma, whose name is the path in the event. The keys of annotations have periods.
func (e *Event) field(name string) (string, bool) {
	if name == "" {
		return e.text, true
	}
	if key, is := strings.CutPrefix(name, "annotations."); is {
		return e.at("annotations", key)
	}
	return e.at(strings.Split(name, ".")...)
}
