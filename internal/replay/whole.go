// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"bytes"
	"errors"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"noderestriction.plus/policy/object"
)

// whole is an object, split into parts as the rules see it.
type whole struct {
	kind, name, uid string
	version         uint64 // 0: it has none, or none that is a number
	parts           []part
	raw             jsontext.Value // the object as it was logged
}

// partName is a member of metadata, spec or status, or with an empty section another member of the object.
type partName struct{ section, name string }

func (n partName) String() string {
	if n.section == "" {
		return n.name
	}
	return n.section + "." + n.name
}

// part is a part of an object, with its value as it was logged.
type part struct {
	partName
	value jsontext.Value
}

// maxParts is the largest number of parts of an object.
const maxParts = 4096

var errTooManyParts = errors.New("has too many members")

// splitWhole splits an object.
func splitWhole(raw jsontext.Value) (*whole, error) {
	top, err := membersOf(raw)
	if err != nil {
		return nil, err
	}
	o := &whole{raw: raw}
	for _, m := range top {
		switch {
		case m.name == "kind":
			o.kind = textOf(m.value)
		case m.name == "apiVersion", m.name == "@type":
		case isSection(m.name) && m.value.Kind() == '{':
			inner, err := membersOf(m.value)
			if err != nil {
				return nil, err
			}
			for _, i := range inner {
				o.parts = append(o.parts, part{partName{m.name, i.name}, i.value})
			}
		case isSection(m.name):
		default:
			o.parts = append(o.parts, part{partName{"", m.name}, m.value})
		}
	}
	if len(o.parts) > maxParts {
		return nil, errTooManyParts
	}
	o.name, o.uid = textOf(o.value("metadata", "name")), textOf(o.value("metadata", "uid"))
	o.version, _ = strconv.ParseUint(textOf(o.value("metadata", "resourceVersion")), 10, 64)
	return o, nil
}

func isSection(name string) bool { return name == "metadata" || name == "spec" || name == "status" }

// value returns the value of a part, or nil.
func (o *whole) value(section, name string) jsontext.Value {
	for i := range o.parts {
		if o.parts[i].section == section && o.parts[i].name == name {
			return o.parts[i].value
		}
	}
	return nil
}

// isServers reports whether the API server alone writes a part, and no rule compares it.
func (n partName) isServers() bool {
	if n.section != "metadata" {
		return false
	}
	switch n.name {
	case "resourceVersion", "managedFields", "selfLink":
		return true
	}
	return false
}

// isFixed reports whether no update changes a part.
func (n partName) isFixed() bool {
	if n.section != "metadata" {
		return false
	}
	switch n.name {
	case "name", "namespace", "uid", "creationTimestamp", "generateName", "generation", "deletionTimestamp", "deletionGracePeriodSeconds":
		return true
	}
	return n.isServers()
}

// compose makes an object of parts.
func compose(parts []part) jsontext.Value {
	var b bytes.Buffer
	b.WriteByte('{')
	first := true
	separate := func() {
		if !first {
			b.WriteByte(',')
		}
		first = false
	}
	for _, section := range []string{"metadata", "spec", "status", ""} {
		in, wrote := section != "", false
		for i := range parts {
			if parts[i].section != section {
				continue
			}
			if in && !wrote {
				separate()
				b.WriteString(`"` + section + `":{`)
				first, wrote = true, true
			}
			separate()
			name, err := jsontext.AppendQuote(nil, parts[i].name)
			if err != nil {
				continue // a name that is not UTF-8 was replaced when it was read
			}
			b.Write(name)
			b.WriteByte(':')
			b.Write(parts[i].value)
		}
		if wrote {
			b.WriteByte('}')
			first = false
		}
	}
	b.WriteByte('}')
	return b.Bytes()
}

// rawMember is a member of a JSON object.
type rawMember struct {
	name  string
	value jsontext.Value
}

// membersOf returns the members of a JSON object. Of members with the same name only the last one counts, as for an API server.
func membersOf(object jsontext.Value) ([]rawMember, error) {
	d := jsontext.NewDecoder(bytes.NewBuffer(object), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if start, err := d.ReadToken(); err != nil || start.Kind() != '{' {
		return nil, errors.Join(errNoObject, err)
	}
	var members []rawMember
	at := map[string]int{}
	for d.PeekKind() == '"' {
		token, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		name := token.String()
		value, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		end := d.InputOffset()
		value = object[end-int64(len(value)) : end : end]
		if i, again := at[name]; again {
			members[i].value = value
			continue
		}
		if len(members) == maxParts {
			return nil, errTooManyParts
		}
		at[name] = len(members)
		members = append(members, rawMember{name, value})
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	return members, nil
}

var errNoObject = errors.New("is no JSON object")

// same reports whether two values are equal, where absent, null, empty, false, 0 and "" are: an API server leaves such fields out.
func same(a, b jsontext.Value) bool {
	return bytes.Equal(a, b) || bytes.Equal(canonical(a), canonical(b))
}

// canonical returns a form of a value in which equal values have equal bytes.
func canonical(v jsontext.Value) jsontext.Value {
	c := object.Canonical(v)
	switch string(c) {
	case "{}", "[]", `""`, "false", "0":
		return nil
	}
	return c
}
