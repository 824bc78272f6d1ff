// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package detection

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// item is an item of a rules file of Falco.
type item struct {
	Rule      string   `json:"rule"`
	Macro     string   `json:"macro"`
	List      string   `json:"list"`
	Items     []string `json:"items"`
	Condition string   `json:"condition"`
	Desc      string   `json:"desc"`
	Output    string   `json:"output"`
	Priority  string   `json:"priority"`
	Source    string   `json:"source"`
	Tags      []string `json:"tags"`

	RequiredPluginVersions []struct {
		Name, Version string
		Alternatives  []struct{ Name, Version string }
	} `json:"required_plugin_versions"`
}

// rules is what the items of a file define so far. As in Falco, an item is defined before it is used.
type rules struct {
	macros map[string]matcher
	lists  map[string][]string
}

// split returns the tokens of a condition: texts in quotes, fields with an argument, signs and words.
func split(text string) []string {
	return regexp.MustCompile(`"[^"]*"|'[^']*'|[a-z.]+\[[^\]]*\]|[(),=]|[^\s(),=]+`).FindAllString(text, -1)
}

// Falco reads a rules file of Falco.
func Falco(data []byte) ([]Rule, error) {
	var items []item
	if err := yaml.UnmarshalStrict(data, &items); err != nil {
		return nil, err
	}
	known := rules{macros: map[string]matcher{}, lists: map[string][]string{}}
	var all []Rule
	for _, i := range items {
		if i.List != "" {
			known.lists[i.List] = i.Items
		}
		if i.Condition == "" {
			continue
		}
		c := condition{tokens: split(i.Condition), leaf: known.check}
		m, err := c.parse()
		if err != nil {
			return nil, fmt.Errorf("%s%s: %w", i.Macro, i.Rule, err)
		}
		if i.Macro != "" {
			known.macros[i.Macro] = m
			continue
		}
		if err := i.complete(); err != nil {
			return nil, fmt.Errorf("%s: %w", i.Rule, err)
		}
		all = append(all, Rule{i.Rule, m})
	}
	return all, nil
}

// complete returns an error unless a rule has what Falco needs, and an output with known fields.
func (i *item) complete() error {
	priorities := []string{"CRITICAL", "ERROR", "WARNING", "NOTICE"}
	if i.Desc == "" || i.Source != "k8s_audit" || !slices.Contains(priorities, i.Priority) || len(i.Tags) == 0 {
		return fmt.Errorf("description %q, source %q, priority %q, tags %q", i.Desc, i.Source, i.Priority, i.Tags)
	}
	fields := regexp.MustCompile(`%([a-z.]+(?:\[[^\]]*\])?)`).FindAllStringSubmatch(i.Output, -1)
	if len(fields) == 0 || len(fields) != strings.Count(i.Output, "%") {
		return fmt.Errorf("output %q", i.Output)
	}
	for _, f := range fields {
		if _, err := extract(f[1]); err != nil {
			return err
		}
	}
	return nil
}

// check parses a comparison of a field, or the name of a macro.
func (r rules) check(c *condition) (matcher, error) {
	name := c.next()
	if m := r.macros[name]; m != nil {
		return m, nil
	}
	field, err := extract(name)
	if err != nil {
		return nil, err
	}
	operator := c.next()
	if operator == "exists" {
		return func(e *Event) bool { _, found := field(e); return found }, nil
	}
	values := []string{unquote(c.next())}
	if operator == "in" {
		if values, err = r.values(c, values[0]); err != nil {
			return nil, err
		}
	}
	compare := map[string]func(value, with string) bool{
		"=": func(a, b string) bool { return a == b }, "in": func(a, b string) bool { return a == b },
		"startswith": strings.HasPrefix, "contains": strings.Contains,
	}[operator]
	if compare == nil {
		return nil, fmt.Errorf("unknown operator %q", operator)
	}
	return func(e *Event) bool {
		value, found := field(e)
		return found && slices.ContainsFunc(values, func(with string) bool { return compare(value, with) })
	}, nil
}

// values parses the rest of a list of values and names of lists.
func (r rules) values(c *condition, token string) ([]string, error) {
	if token != "(" {
		return nil, errors.New("in needs a list")
	}
	var all []string
	for {
		value := c.next()
		if items, is := r.lists[value]; is {
			all = append(all, items...)
		} else {
			all = append(all, unquote(value))
		}
		switch c.next() {
		case ")":
			return all, nil
		case ",":
		default:
			return nil, errors.New("a list is not closed")
		}
	}
}

// paths are where the fields of the plugin k8saudit are in an event, by its source code.
func paths() map[string][]string {
	return map[string][]string{
		"ka.auditid": {"auditID"}, "ka.verb": {"verb"}, "ka.useragent": {"userAgent"}, "ka.sourceips": {"sourceIPs"},
		"ka.user.name": {"user", "username"}, "ka.impuser.name": {"impersonatedUser", "username"},
		"ka.target.resource": {"objectRef", "resource"}, "ka.target.subresource": {"objectRef", "subresource"},
		"ka.target.namespace": {"objectRef", "namespace"}, "ka.target.name": {"objectRef", "name"},
		"ka.response.code": {"responseStatus", "code"},
	}
}

// extract returns what reads a field from events.
func extract(field string) (func(*Event) (string, bool), error) {
	if path := paths()[field]; path != nil {
		return func(e *Event) (string, bool) { return e.at(path...) }, nil
	}
	name, argument, _ := strings.Cut(strings.TrimSuffix(field, "]"), "[")
	switch name {
	case "jevt.obj":
		return func(e *Event) (string, bool) { return e.text, true }, nil
	case "jevt.value": // a JSON pointer: RFC 6901
		path := strings.Split(strings.TrimPrefix(argument, "/"), "/")
		for i := range path {
			path[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(path[i])
		}
		return func(e *Event) (string, bool) { return e.at(path...) }, nil
	case "ka.uri.param":
		return func(e *Event) (string, bool) {
			uri, _ := e.at("requestURI")
			parsed, err := url.Parse(uri)
			if err != nil {
				return "", false
			}
			return parsed.Query().Get(argument), parsed.Query().Has(argument)
		}, nil
	}
	return nil, fmt.Errorf("unknown field or macro %q", field)
}
