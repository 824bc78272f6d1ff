// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package apidoc

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// object is the Type of a field that has fields.
const object = "object"

// schema is the part of an OpenAPI schema that is documented.
type schema struct {
	Description string             `json:"description"`
	Type        string             `json:"type"`
	Format      string             `json:"format"`
	Enum        []string           `json:"enum"`
	Minimum     *int64             `json:"minimum"`
	Maximum     *int64             `json:"maximum"`
	MaxItems    *int64             `json:"maxItems"`
	Properties  map[string]*schema `json:"properties"`
	Required    []string           `json:"required"`
	Items       *schema            `json:"items"`
	Values      *schema            `json:"additionalProperties"`
}

// field documents a schema at a path, and adds the types of its elements to types, by their names.
func (s *schema) field(path string, types map[string]string) *Field {
	f := &Field{Path: path, Type: s.typeName()}
	f.Text, f.Omitted = s.text()
	elements := s
	for _, inner := range []*schema{s.Items, s.Values} {
		if inner == nil {
			continue
		}
		if name := inner.name(); name != "" {
			types[name], _ = inner.text()
			if len(inner.Enum) > 0 {
				types[name] += " It is " + inner.typeName() + "."
			}
		}
		elements = inner
		path += "[]"
	}
	for _, name := range slices.Sorted(maps.Keys(elements.Properties)) {
		child := elements.Properties[name].field(strings.TrimPrefix(path+"."+name, "."), types)
		f.Fields = append(f.Fields, child)
	}
	return f
}

// text returns what the description says, and what it says about omission, each on one line.
func (s *schema) text() (text, omitted string) {
	text = strings.Join(strings.Fields(s.Description), " ")
	if i := strings.Index(text, "Omitted"); i >= 0 {
		return strings.TrimSpace(text[:i]), text[i:]
	}
	return text, ""
}

// name is the name of the Go type of an element, with which the comment of a type begins; empty if there is no such comment.
func (s *schema) name() string {
	name, _, _ := strings.Cut(s.Description, " ")
	if first, _ := utf8.DecodeRuneInString(name); !unicode.IsUpper(first) || slices.Contains([]string{"A", "An", "The"}, name) {
		return ""
	}
	return name
}

func (s *schema) typeName() string {
	switch {
	case len(s.Enum) > 0:
		return "one of " + strings.Join(s.Enum, ", ")
	case s.Items != nil:
		return "list of " + s.Items.elementName() + bound(s.MaxItems)
	case s.Values != nil:
		return "map to " + s.Values.elementName()
	case s.Type == "integer" && s.Minimum != nil && s.Maximum != nil:
		return fmt.Sprintf("integer from %d to %d", *s.Minimum, *s.Maximum)
	case s.Type == "integer" && s.Minimum != nil:
		return fmt.Sprintf("integer, at least %d", *s.Minimum)
	case s.Format == "date-time":
		return "time"
	case s.Type == "":
		return "integer or string"
	}
	return s.Type
}

// elementName is the name of the type of an element, or what it is.
func (s *schema) elementName() string {
	if name := s.name(); name != "" {
		return name
	}
	return s.typeName()
}

func bound(maximum *int64) string {
	if maximum == nil {
		return ""
	}
	return fmt.Sprintf(", at most %d", *maximum)
}
