// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package crosscheck

import (
	"strings"

	"noderestriction.plus/internal/recordlog"
)

// maxKinds is the maximum number of kinds of write that are counted apart. The webhook is sent about twenty.
const maxKinds = 250

// Numbers of kinds.
const (
	unknownKind = 0 // the line does not say it
	otherKind   = 1 // beyond maxKinds
)

// kinds are the kinds of write of records, and which of them the audit log has.
type kinds struct {
	numbers map[string]uint8
	names   []string
	logged  []bool // by number: an event of the kind names a record
}

func newKinds() kinds {
	return kinds{numbers: map[string]uint8{}, names: []string{"", "other writes"}, logged: []bool{false, false}}
}

// kindOf returns a kind of write, such as nodes/status. Creations and updates are one kind, because an event does not always say which of
// them it is.
func kindOf(e *recordlog.Entry) string {
	resource, _, _ := strings.Cut(e.Resource, ".") // records do not have the group
	if e.Subresource != "" {
		resource += "/" + e.Subresource
	}
	if e.Operation == "DELETE" {
		return "DELETE " + resource
	}
	return resource
}

// of returns the number of a record's kind.
func (k *kinds) of(e *recordlog.Entry) uint8 {
	name := kindOf(e)
	if strings.HasSuffix(name, "...") || e.Operation == recordlog.Unknown {
		return unknownKind
	}
	if n, known := k.numbers[name]; known {
		return n
	}
	if len(k.names) >= maxKinds {
		return otherKind
	}
	n := uint8(len(k.names))
	k.numbers[name] = n
	k.names, k.logged = append(k.names, name), append(k.logged, false)
	return n
}

// seen notes that the audit log has a kind of write.
func (k *kinds) seen(e *recordlog.Entry) {
	if n, known := k.numbers[kindOf(e)]; known {
		k.logged[n] = true
	} else {
		k.logged[otherKind] = true
	}
}
