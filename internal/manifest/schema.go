// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"noderestriction.plus/config/crd"
	"noderestriction.plus/internal/text"
)

// schema is the part of OpenAPI that the CRD uses. Expressions in CEL are not evaluated: [policy.Compiler.Compile] repeats them in Go.
type schema struct {
	Type                 string             `json:"type"`
	Description          string             `json:"description"`
	Format               string             `json:"format"`
	Properties           map[string]*schema `json:"properties"`
	AdditionalProperties *schema            `json:"additionalProperties"`
	Items                *schema            `json:"items"`
	Required             []string           `json:"required"`
	Enum                 []string           `json:"enum"`
	Default              json.RawMessage    `json:"default"`
	Pattern              string             `json:"pattern"`
	Minimum              *float64           `json:"minimum"`
	Maximum              *float64           `json:"maximum"`
	MinLength            *int               `json:"minLength"`
	MaxLength            *int               `json:"maxLength"`
	MinItems             *int               `json:"minItems"`
	MaxItems             *int               `json:"maxItems"`
	MinProperties        *int               `json:"minProperties"`
	MaxProperties        *int               `json:"maxProperties"`
	IntOrString          bool               `json:"x-kubernetes-int-or-string"`
	ListType             string             `json:"x-kubernetes-list-type"`
	ListMapKeys          []string           `json:"x-kubernetes-list-map-keys"`
	MapType              string             `json:"x-kubernetes-map-type"`
	Validations          []json.RawMessage  `json:"x-kubernetes-validations"`

	pattern *regexp.Regexp
}

// crdSchema is the schema of NodeRestrictionPolicy. It is read once, from the CRD with which the program was built.
var crdSchema = sync.OnceValues(func() (*schema, error) { return readSchema(crd.YAML()) })

// readSchema reads the schema of the only version of a CRD. It refuses keywords that [schema] does not have: a restriction that is
// not evaluated must not be overlooked.
func readSchema(definition string) (*schema, error) {
	data, err := yaml.YAMLToJSON([]byte(definition))
	if err != nil {
		return nil, err
	}
	var object struct {
		Spec struct {
			Versions []struct {
				Schema struct {
					OpenAPIV3Schema json.RawMessage `json:"openAPIV3Schema"`
				} `json:"schema"`
			} `json:"versions"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(data, &object); err != nil {
		return nil, err
	}
	if n := len(object.Spec.Versions); n != 1 {
		return nil, fmt.Errorf("the CRD has %d versions, want one", n)
	}
	decoder := json.NewDecoder(bytes.NewReader(object.Spec.Versions[0].Schema.OpenAPIV3Schema))
	decoder.DisallowUnknownFields()
	root := &schema{}
	if err := decoder.Decode(root); err != nil {
		return nil, fmt.Errorf("schema of the CRD: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("schema of the CRD: more than one value")
	}
	return root, root.compile()
}

func (s *schema) compile() error {
	var err error
	if s.Pattern != "" {
		if s.pattern, err = regexp.Compile(s.Pattern); err != nil {
			return fmt.Errorf("schema of the CRD: %w", err)
		}
	}
	for _, child := range append(slices.Collect(maps.Values(s.Properties)), s.AdditionalProperties, s.Items) {
		if child != nil {
			if err := child.compile(); err != nil {
				return err
			}
		}
	}
	return nil
}

// at returns the schema of a field below s, by its path of names. Nil: there is no such field.
func (s *schema) at(names ...string) *schema {
	for _, name := range names {
		if s == nil {
			return nil
		}
		s = s.Properties[name]
	}
	return s
}

// maxProblems is how many errors of a policy are reported. An API server stops at fewer.
const maxProblems = 256

// validator validates a value by the schema.
type validator struct {
	root     *schema
	problems []Problem
	broken   []string // paths of the values that no Go type can hold
}

// full reports whether enough is wrong.
func (v *validator) full() bool { return len(v.problems) >= maxProblems }

func (v *validator) report(at *field.Path, message, hint string) {
	if !v.full() {
		v.problems = append(v.problems, Problem{Field: at.String(), Message: message, Hint: hint})
	}
}

// markVague says that the compiler explains the latest problem better.
func (v *validator) markVague(at *field.Path) {
	if last := len(v.problems) - 1; v.problems[last].Field == at.String() {
		v.problems[last].vague = true
	}
}

// mistyped reports a value of the wrong type.
func (v *validator) mistyped(at *field.Path, s *schema, value any) {
	v.report(at, fmt.Sprintf("must be %s, not %s", s.typeName(), typeName(value)), s.typeHint(value))
	v.broken = append(v.broken, at.String())
}

// value returns the value without what a Go type cannot hold: the rest is decoded and compiled.
func (v *validator) value(value any, s *schema, at *field.Path) (kept any, ok bool) {
	switch {
	case v.full():
		return nil, false
	case value == nil:
		v.report(at, v.nullMessage(s, at), "")
		return nil, false
	case s.IntOrString:
		return value, v.intOrString(value, s, at)
	}
	switch s.Type {
	case "object":
		if object, is := value.(map[string]any); is {
			return v.object(object, s, at), true
		}
	case "array":
		if list, is := value.([]any); is {
			return v.list(list, s, at)
		}
	case "string":
		if written, is := value.(string); is {
			v.text(written, s, at)
			return value, true
		}
	case "integer":
		if number, is := wholeNumber(value); is {
			return number, v.integer(number, s, at)
		}
	case "boolean":
		if _, is := value.(bool); is {
			return value, true
		}
	}
	v.mistyped(at, s, value)
	return nil, false
}

func (v *validator) object(object map[string]any, s *schema, at *field.Path) map[string]any {
	kept := make(map[string]any, len(object))
	v.bounds(len(object), s.MinProperties, s.MaxProperties, "entry", "entries", at)
	if s.MaxProperties != nil && len(object) > *s.MaxProperties {
		return kept
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		child, path := s.Properties[name], at.Child(name)
		if at == nil {
			path = field.NewPath(name)
		}
		if s.AdditionalProperties != nil {
			child, path = s.AdditionalProperties, at.Key(text.Cut(name, text.MaxQuoted))
		}
		if child == nil {
			v.unknown(name, s, at)
			continue
		}
		if value, ok := v.value(object[name], child, path); ok {
			kept[name] = value
		}
	}
	for _, name := range s.Required {
		if _, found := object[name]; !found {
			v.report(at.Child(name), "must be set", s.Properties[name].example())
		}
	}
	return kept
}

// list validates a list, which is kept whole or not at all: the indexes in later errors must be those of the file.
func (v *validator) list(list []any, s *schema, at *field.Path) (any, bool) {
	v.bounds(len(list), s.MinItems, s.MaxItems, "item", "items", at)
	if s.MaxItems != nil && len(list) > *s.MaxItems {
		v.broken = append(v.broken, at.String())
		return nil, false
	}
	kept, whole := make([]any, 0, len(list)), true
	seen := map[string]int{}
	for i, item := range list {
		value, ok := v.value(item, s.Items, at.Index(i))
		whole = whole && ok
		kept = append(kept, value)
		if key, unique := s.uniqueKey(item); unique {
			if first, twice := seen[key]; twice {
				v.report(at.Index(i), fmt.Sprintf("duplicate of [%d]", first), "")
			} else {
				seen[key] = i
			}
		}
	}
	if !whole {
		v.broken = append(v.broken, at.String())
	}
	return kept, whole
}

// uniqueKey returns what must be unique of an item of a list, and false if nothing must.
func (s *schema) uniqueKey(item any) (string, bool) {
	switch s.ListType {
	case "set":
	case "map":
		object, _ := item.(map[string]any)
		keys := make([]any, len(s.ListMapKeys))
		for i, key := range s.ListMapKeys {
			keys[i] = object[key]
		}
		item = keys
	default:
		return "", false
	}
	key, err := json.Marshal(item)
	return string(key), err == nil
}

func (v *validator) text(value string, s *schema, at *field.Path) {
	length := utf8.RuneCountInString(value)
	switch {
	case s.MaxLength != nil && length > *s.MaxLength:
		v.report(at, fmt.Sprintf("must have at most %d characters, not %d", *s.MaxLength, length), "")
	case s.MinLength != nil && length < *s.MinLength && length == 0:
		v.report(at, "must not be empty", "")
	case s.MinLength != nil && length < *s.MinLength:
		v.report(at, fmt.Sprintf("must have at least %d characters", *s.MinLength), "")
	case len(s.Enum) > 0 && !slices.Contains(s.Enum, value):
		v.report(at, fmt.Sprintf("must be %s, not %s", oneOf(s.Enum), text.Quote(value)), hintOf(nearestFold(value, s.Enum)))
	case s.pattern != nil && !s.pattern.MatchString(value):
		v.report(at, fmt.Sprintf("%s does not match %s", text.Quote(value), s.Pattern), "")
		v.markVague(at)
	}
}

func (v *validator) integer(number int64, s *schema, at *field.Path) bool {
	switch {
	case s.Format == "int32" && (number < math.MinInt32 || number > math.MaxInt32):
		v.report(at, fmt.Sprintf("must be at most %d", math.MaxInt32), "")
		return false
	case s.Minimum != nil && float64(number) < *s.Minimum:
		v.report(at, fmt.Sprintf("must be at least %.0f, not %d", *s.Minimum, number), "")
	case s.Maximum != nil && float64(number) > *s.Maximum:
		v.report(at, fmt.Sprintf("must be at most %.0f, not %d", *s.Maximum, number), "")
	}
	return true
}

func (v *validator) intOrString(value any, s *schema, at *field.Path) bool {
	if written, is := value.(string); is {
		v.text(written, s, at)
		return true
	}
	if _, is := wholeNumber(value); is {
		return true
	}
	v.mistyped(at, &schema{IntOrString: true}, value)
	return false
}

func (v *validator) bounds(n int, least, most *int, one, many string, at *field.Path) {
	switch {
	case most != nil && n > *most:
		v.report(at, fmt.Sprintf("must have at most %d %s, not %d", *most, many, n), "")
	case least != nil && n < *least && *least == 1:
		v.report(at, fmt.Sprintf("must have at least one %s", one), "remove it, or list something")
	case least != nil && n < *least:
		v.report(at, fmt.Sprintf("must have at least %d %s, not %d", *least, many, n), "")
	}
}

// wholeNumber returns a number that JSON has decoded, if it is a whole one.
func wholeNumber(value any) (int64, bool) {
	switch n := value.(type) {
	case int64:
		return n, true
	case float64:
		if n == math.Trunc(n) && math.Abs(n) < 1<<53 {
			return int64(n), true
		}
	}
	return 0, false
}

// typeName is the type in the words of YAML.
func (s *schema) typeName() string {
	switch {
	case s.IntOrString:
		return "a string or a whole number"
	case s.Type == "array":
		return "a list"
	case s.Type == "integer":
		return "a whole number"
	case s.Type == "object":
		return "an object"
	}
	return "a " + s.Type
}

// typeName is the type of a decoded value in the words of YAML.
func typeName(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	case bool:
		return "a boolean"
	case string:
		return "a string"
	case float64:
		return "a fraction"
	}
	return "a number"
}

// oneOf lists values, with the word or before the last.
func oneOf(values []string) string {
	if len(values) == 1 {
		return values[0]
	}
	return strings.Join(values[:len(values)-1], ", ") + " or " + values[len(values)-1]
}
