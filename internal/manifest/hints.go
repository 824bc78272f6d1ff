// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/internal/text"
)

// maxShown is how many bytes of a value a hint repeats.
const maxShown = 64

// unknown reports a field that the schema does not have.
func (v *validator) unknown(name string, s *schema, at *field.Path) {
	path := at.Child(name)
	if at == nil {
		path = field.NewPath(name)
	}
	v.report(field.NewPath(text.Cut(path.String(), 2*text.MaxQuoted)), "unknown field", v.meant(name, s, at))
}

// meant returns a hint about which field was meant by an unknown one, or nothing.
func (v *validator) meant(name string, s *schema, at *field.Path) string {
	if other := foreignName(name); other != "" && s.Properties[other] != nil {
		return hintOf([]string{other})
	}
	if near := nearestFold(name, slices.Sorted(maps.Keys(s.Properties))); len(near) > 0 {
		return hintOf(near)
	}
	if s.Properties["matchLabels"] != nil {
		return "write it under matchLabels"
	}
	if below := s.find(name, ""); len(below) == 1 {
		return hintOf([]string{at.String() + below[0]})
	}
	if elsewhere := v.root.at("spec").find(name, "spec"); len(elsewhere) == 1 {
		return hintOf(elsewhere)
	}
	return ""
}

// foreignName maps the names of fields in other projects, and in our own history, to ours.
func foreignName(name string) string {
	switch name {
	case "enforcementAction", "validationFailureAction", "validationFailureActions", "failureAction", "action", "actions", "mode":
		return "validationActions"
	case "excludeNodes", "excludedNodes", "exclude", "excludeNames":
		return "excludeNodeNames"
	case "nodes", "names":
		return "nodeNames"
	case "matchResources", "selector":
		return "match"
	case "deny", "forbidden", "blocked", "denylist", "blacklist":
		return "denied"
	case "allow", "permitted", "allowlist", "whitelist":
		return "allowed"
	}
	return ""
}

// nearestFold returns the names that may have been meant by a wrong one, whatever its case.
func nearestFold(name string, names []string) []string {
	for _, candidate := range names {
		if strings.EqualFold(name, candidate) {
			return []string{candidate}
		}
	}
	return text.Nearest(name, names)
}

func hintOf(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return "did you mean " + strings.Join(names, " or ") + "?"
}

// find returns the paths below s, each after prefix, at which a field has the name.
func (s *schema) find(name, prefix string) []string {
	var found []string
	for _, child := range slices.Sorted(maps.Keys(s.Properties)) {
		path := prefix + "." + child
		if child == name {
			found = append(found, path)
		}
		found = append(found, s.Properties[child].find(name, path)...)
	}
	return found
}

// onlyList returns the field for what is allowed, if an object has one that is a list.
func (s *schema) onlyList() string {
	if allowed := s.Properties["allowed"]; allowed != nil && allowed.Type == "array" {
		return "allowed"
	}
	if len(s.Properties) == 1 {
		for name, child := range s.Properties {
			if child.Type == "array" {
				return name
			}
		}
	}
	return ""
}

// typeHint returns what to write in place of a value of the wrong type, or nothing.
func (s *schema) typeHint(value any) string {
	shown, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	written := text.Cut(string(shown), maxShown)
	switch value := value.(type) {
	case []any:
		list := s.onlyList()
		if s.Type == "object" && list != "" && len(value) > 0 && s.Properties[list].Items.holds(value[0]) {
			return fmt.Sprintf("write {%s: %s}", list, written)
		}
	case bool:
		switch {
		case s.Type == "object" && value:
			return "write {} to turn it on"
		case s.Type == "object":
			return "remove it to turn it off"
		}
	case string:
		switch {
		case s.Type == "array" && s.Items != nil && s.Items.Type == "string":
			if near := nearestFold(value, s.Items.Enum); len(near) > 0 {
				written = text.Quote(near[0])
			}
			return fmt.Sprintf("write [%s]", written)
		case s.Type == "object" && s.Properties["key"] != nil:
			return fmt.Sprintf("write {key: %s}", written)
		}
	}
	return ""
}

// example returns how to write a list of words that is missing, or nothing.
func (s *schema) example() string {
	if s == nil || s.Items == nil || len(s.Items.Enum) == 0 {
		return ""
	}
	lists := make([]string, len(s.Items.Enum))
	for i, word := range s.Items.Enum {
		lists[i] = "[" + word + "]"
	}
	return "write " + oneOf(lists)
}

// holds reports whether a value has the type of the schema, which is that of an item of a list.
func (s *schema) holds(value any) bool {
	switch value.(type) {
	case string:
		return s.Type == "string"
	case map[string]any:
		return s.Type == "object"
	case int64:
		return s.Type == "integer"
	}
	return false
}

// nullMessage says what is wrong with a field that has no value. An API server drops such a field without a word.
func (v *validator) nullMessage(s *schema, at *field.Path) string {
	names := strings.Split(at.String(), ".")
	if s.Type == "object" && len(names) > 1 && names[0] == "spec" {
		names = names[1:]
		if v.root.at("spec", names[0]).isGroup() {
			names = names[1:]
		}
		if len(names) == 1 && names[0] != "match" {
			return "has no value, so the rule is off; write {} to turn it on"
		}
	}
	return "has no value; remove it, or give it one"
}

// isGroup reports whether an object has nothing but sections of rules.
func (s *schema) isGroup() bool {
	if s == nil {
		return false
	}
	for _, child := range s.Properties {
		if child.Type != "object" {
			return false
		}
	}
	return len(s.Properties) > 0
}
