// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"bytes"
	"errors"

	"github.com/go-json-experiment/json/jsontext"

	"noderestriction.plus/policy/object"
)

// metadata.managedFields has an entry for each manager that owns fields of the object, with a tree of the fields, fieldsV1. The
// API server computes it, as follows from k8s.io/apimachinery v0.37.2 pkg/util/managedfields, structured-merge-diff v6
// merge/update.go and k8s.io/apiserver v0.37.2 pkg/endpoints/handlers:
//
//   - Manager, operation and subresource identify an entry, and the apiVersion if its operation is Update.
//   - An update adds the fields that it changes to the Update entry of its manager, and removes them from all other entries,
//     which keep their time. An entry without fields is dropped.
//   - Server-side apply replaces the fields of its manager's Apply entry with those that it sends, changed or not. The entry
//     gets a new time only if the object changes: a new entry may have no time, and an old one may grow and keep its time.
//   - Through a subresource the list that a client sends is ignored. At a creation, and in an update of the resource itself,
//     it replaces the stored list unless it is absent or cannot be decoded; [] and [{}] empty the list, but at a creation the
//     fields of the object are then tracked as if it were absent. While it is empty, updates are not tracked.
//   - An update drops entries of unknown versions, and merges the oldest Update entries into an entry of the manager
//     ancient-changes if there are more than 10. An object that is too large for etcd is stored without managedFields.
//   - Mutating admission runs later and is not tracked: a change that it reverts has still moved ownership.

const (
	operationApply  = "Apply"
	operationUpdate = "Update"

	coreVersion       = "v1"              // the only version of Nodes and pods
	oldestManagers    = "ancient-changes" // the manager that the oldest Update entries are merged into
	maxUpdateManagers = 10                // beyond which they are
)

// maxFieldsDepth is the depth down to which two trees of fields are compared. The fields of a pod are at most 10 deep.
const maxFieldsDepth = 32

var (
	errFields   = errors.New("must be a tree of fields")
	errManagers = errors.New("must not have two entries of one manager")
)

// fieldManager identifies an entry of managedFields.
type fieldManager struct {
	name, operation, version, subresource string // no version if the operation is Apply
}

// managedEntry is an entry of managedFields.
type managedEntry struct {
	fieldManager
	version      string
	time, fields jsontext.Value
	value        jsontext.Value // the whole entry
}

// mayApply reports whether a list or an entry may have the operation Apply, without decoding it.
func mayApply(value jsontext.Value) bool {
	return bytes.Contains(value, []byte(`"`+operationApply+`"`)) || bytes.Contains(value, []byte(`\u`))
}

// usualEntries is the initial capacity for entries.
const usualEntries = 8

// entriesIn returns the entries of a list as they were sent, and nil for a missing list.
func entriesIn(list jsontext.Value) ([]jsontext.Value, error) {
	if list == nil || list.Kind() == jsontext.KindNull {
		return nil, nil
	}
	decoder := object.NewDecoder(list)
	if start, err := decoder.ReadToken(); err != nil || start.Kind() != jsontext.KindBeginArray {
		return nil, errFields
	}
	entries := make([]jsontext.Value, 0, usualEntries)
	for decoder.PeekKind() != jsontext.KindEndArray {
		value, err := readIn(decoder, list)
		if err != nil {
			return nil, err
		}
		entries = append(entries, value)
	}
	return entries, nil
}

// readIn reads the next value of a list or an object, and returns the bytes of the text that hold it.
func readIn(decoder *jsontext.Decoder, text jsontext.Value) (jsontext.Value, error) {
	value, err := decoder.ReadValue()
	if err != nil {
		return nil, err
	}
	end := decoder.InputOffset()
	return text[end-int64(len(value)) : end : end], nil
}

// eachMember calls a function with each member of an object.
func eachMember(tree jsontext.Value, do func(name string, value jsontext.Value) error) error {
	if tree.Kind() != jsontext.KindBeginObject {
		return errFields
	}
	decoder := object.NewDecoder(tree)
	if _, err := decoder.ReadToken(); err != nil {
		return err
	}
	for decoder.PeekKind() != jsontext.KindEndObject {
		name, err := object.ReadName(decoder)
		if err != nil {
			return err
		}
		text := string(name)
		value, err := readIn(decoder, tree)
		if err != nil {
			return err
		}
		if err := do(text, value); err != nil {
			return err
		}
	}
	return nil
}

// readEntry decodes an entry, except its fields.
func readEntry(value jsontext.Value) (*managedEntry, error) {
	e := &managedEntry{value: value}
	err := eachMember(e.value, func(name string, value jsontext.Value) error {
		var into *string
		switch name {
		case "manager":
			into = &e.name
		case "operation":
			into = &e.operation
		case "apiVersion":
			into = &e.version
		case "subresource":
			into = &e.subresource
		case "time":
			e.time = value
		case "fieldsV1":
			e.fields = value
		}
		if into == nil || value.Kind() == jsontext.KindNull {
			return nil
		}
		text, err := jsontext.AppendUnquote(nil, value)
		*into = string(text)
		return err
	})
	if e.operation != operationApply {
		e.fieldManager.version = e.version
	}
	return e, err
}

// trim removes the entries that are equal at the beginning and the end of both lists, byte for byte.
func trim(old, updated []jsontext.Value) (before, after []jsontext.Value) {
	for len(old) > 0 && len(updated) > 0 && bytes.Equal(old[0], updated[0]) {
		old, updated = old[1:], updated[1:]
	}
	for len(old) > 0 && len(updated) > 0 && bytes.Equal(old[len(old)-1], updated[len(updated)-1]) {
		old, updated = old[:len(old)-1], updated[:len(updated)-1]
	}
	return old, updated
}

// differing decodes the entries that differ between two lists.
func differing(old, updated []jsontext.Value) (was, is map[fieldManager]*managedEntry, err error) {
	if was, err = byManager(old); err != nil {
		return nil, nil, err
	}
	if is, err = byManager(updated); err != nil {
		return nil, nil, err
	}
	if len(is) < len(updated) {
		return nil, nil, errManagers
	}
	for manager, entry := range is {
		if before := was[manager]; before != nil && bytes.Equal(before.value, entry.value) {
			delete(was, manager)
			delete(is, manager)
		}
	}
	return was, is, nil
}

// byManager decodes entries. The last one of a manager counts, as in the API server.
func byManager(values []jsontext.Value) (map[fieldManager]*managedEntry, error) {
	managers := make(map[fieldManager]*managedEntry, len(values))
	for _, value := range values {
		entry, err := readEntry(value)
		if err != nil {
			return nil, err
		}
		managers[entry.fieldManager] = entry
	}
	return managers, nil
}

// grows reports whether a tree of fields has a field that the old one does not have, or cannot be compared with it.
func grows(old, updated jsontext.Value, depth int) bool {
	if bytes.Equal(old, updated) {
		return false
	}
	if depth == maxFieldsDepth {
		return true
	}
	before := map[string]jsontext.Value{}
	if err := eachMember(old, func(name string, value jsontext.Value) error {
		before[name] = value
		return nil
	}); err != nil {
		return true
	}
	return eachMember(updated, func(name string, value jsontext.Value) error {
		if was, had := before[name]; !had || grows(was, value, depth+1) {
			return errFields
		}
		return nil
	}) != nil
}

// claim is a field that an entry owns: a label, an annotation, or another member of metadata, spec or status.
type claim struct {
	section, name string
	key           string // of a label or an annotation
}

func (c claim) String() string {
	path := c.name
	if c.section != "" {
		path = c.section + "." + path
	}
	if c.key != "" {
		path += "[" + c.key + "]"
	}
	return path
}

// claims are the fields that an entry owns, each with the tree of its owned subfields. The tree is nil if merged entries own different
// subfields.
type claims map[claim]jsontext.Value

// merge adds the claims of another entry.
func (cs claims) merge(others claims) {
	for c, fields := range others {
		if own, has := cs[c]; has && !bytes.Equal(own, fields) {
			fields = nil
		}
		cs[c] = fields
	}
}

// add adds the claims in a tree of fields, and those in status only if status is true.
func (cs claims) add(fields jsontext.Value, status bool) error {
	if fields == nil || fields.Kind() == jsontext.KindNull {
		return nil
	}
	return eachMember(fields, func(section string, value jsontext.Value) error {
		switch section {
		case ".":
			return nil
		case "f:metadata", "f:spec", "f:status":
			if section == "f:status" && !status {
				return nil
			}
			return eachMember(value, func(name string, value jsontext.Value) error {
				return cs.addPart(section[len("f:"):], name, value)
			})
		}
		cs[claim{name: fieldName(section)}] = value
		return nil
	})
}

func (cs claims) addPart(section, name string, value jsontext.Value) error {
	switch {
	case name == ".":
		return nil
	case section == "metadata" && (name == "f:labels" || name == "f:annotations"):
		return eachMember(value, func(key string, value jsontext.Value) error {
			if key != "." {
				cs[claim{section, fieldName(name), fieldName(key)}] = value
			}
			return nil
		})
	}
	cs[claim{section: section, name: fieldName(name)}] = value
	return nil
}

// fieldName returns the name of a field in a tree of fields, such as labels for f:labels.
func fieldName(member string) string {
	if len(member) > len("f:") && member[:len("f:")] == "f:" {
		return member[len("f:"):]
	}
	return member
}
