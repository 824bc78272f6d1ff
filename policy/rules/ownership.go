// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"bytes"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	admissionv1 "k8s.io/api/admission/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
	"noderestriction.plus/policy/object"
)

const managedFieldsPath = "metadata.managedFields"

// ownership evaluates how a write changes the owners of fields. Only a change of a field's value may change its owners.
type ownership struct {
	r      *policy.Request
	parts  map[claim]*object.Difference // that the write changes; set on first use
	keys   map[claim]map[string]bool    // of labels and annotations that the write changes; set on first use
	broken bool                         // an entry or a part is malformed

	applied, changed, claimed, missing, taken []string
}

// checkOwnership evaluates a change of managedFields. What a client can change in it depends on the kind of write: see managed_fields.go.
func checkOwnership(r *policy.Request) []policy.Violation {
	before, after := r.ManagedFields()
	if bytes.Equal(before, after) || r.Subresource != "" && !mayApply(before) && !mayApply(after) {
		return nil
	}
	old, err := entriesIn(before)
	if err != nil {
		return malformed(managedFieldsPath)
	}
	updated, err := entriesIn(after)
	if err != nil {
		return malformed(managedFieldsPath)
	}
	if r.Subresource != "" && len(updated) == 0 {
		return nil // no client can do this through a subresource: the object is too large
	}
	gone, come := trim(old, updated)
	if r.Subresource != "" && !slices.ContainsFunc(gone, mayApply) && !slices.ContainsFunc(come, mayApply) {
		return nil
	}
	was, is, err := differing(gone, come)
	if err != nil {
		return malformed(managedFieldsPath)
	}
	o := ownership{r: r, keys: map[claim]map[string]bool{}}
	o.evaluateApplied(was, is)
	switch {
	case len(updated) == 0:
		o.evaluateEmptied(was)
	case r.Subresource != "":
	case r.Operation == admissionv1.Create:
		o.evaluateCreated(is)
	default:
		o.evaluateUpdated(old, was, is)
	}
	return o.violations()
}

func (o *ownership) violations() []policy.Violation {
	if o.broken {
		return malformed(managedFieldsPath)
	}
	var vs []policy.Violation
	for _, found := range []struct {
		verb   string
		values []string
	}{
		{"must not apply as", o.applied},
		{"must not change the Apply entry of", o.changed},
		{"must not claim unchanged", o.claimed},
		{"must not claim missing", o.missing},
		{"must not take unchanged", o.taken},
	} {
		slices.Sort(found.values)
		vs = appendViolation(vs, managedFieldsPath, found.verb, slices.Compact(found.values))
	}
	return vs
}

// evaluateApplied evaluates the entries of operation Apply. A stock kubelet never applies, and its changes only remove fields from them.
func (o *ownership) evaluateApplied(was, is map[fieldManager]*managedEntry) {
	for manager, entry := range is {
		switch before := was[manager]; {
		case manager.operation != operationApply:
		case before == nil:
			o.applied = append(o.applied, manager.name)
		case before.version != entry.version, !bytes.Equal(before.time, entry.time), grows(before.fields, entry.fields, 0):
			o.changed = append(o.changed, manager.name)
		}
	}
	for manager, entry := range was {
		// Through a subresource a client can only apply as managers that applied through it.
		if manager.operation == operationApply && (o.r.Subresource == "" || o.r.Subresource == manager.subresource) {
			o.evaluateLosses(o.claims(entry), o.claims(is[manager]))
		}
	}
}

// evaluateEmptied evaluates a list that the write empties. Status counts as well, because an empty list tracks no owners at all.
func (o *ownership) evaluateEmptied(was map[fieldManager]*managedEntry) {
	for _, entry := range was {
		owned := claims{}
		if owned.add(entry.fields, true) != nil {
			o.broken = true
		}
		o.evaluateLosses(owned, nil)
	}
}

// evaluateCreated evaluates the Update entries of a new Node. They may claim a missing field, which mutating admission may have removed,
// unless it is a field that no stock kubelet sets.
func (o *ownership) evaluateCreated(is map[fieldManager]*managedEntry) {
	if o.r.Resource != "nodes" {
		return
	}
	for manager, entry := range is {
		if manager.operation == operationApply {
			continue
		}
		for c := range o.claims(entry) {
			if (isForeignClaim(c) || !o.r.Subject.IsKubelet()) && !o.changes(c) {
				o.missing = append(o.missing, c.String())
			}
		}
	}
}

// isForeignClaim reports whether no stock kubelet sets the field as it registers its Node.
func isForeignClaim(c claim) bool {
	switch {
	case c.section != "metadata":
		return false
	case c.name == "labels":
		return isReservedLabel(c.key)
	case c.name == "annotations":
		return !isKubeletAnnotation(c.key)
	}
	return true
}

// evaluateUpdated evaluates the Update entries of an update of the resource itself. Old are all stored entries.
func (o *ownership) evaluateUpdated(old []jsontext.Value, was, is map[fieldManager]*managedEntry) {
	before := map[fieldManager]claims{}
	merges := o.mergesOldest(old, was, is)
	for manager, entry := range was {
		heir := manager
		switch {
		case manager.operation == operationApply:
			continue
		case is[manager] == nil && entry.version != coreVersion:
			continue // dropped by the API server
		case is[manager] == nil && merges:
			heir = fieldManager{name: oldestManagers, operation: operationUpdate, version: entry.version}
		}
		if before[heir] == nil {
			before[heir] = claims{}
		}
		before[heir].merge(o.claims(entry))
	}
	for manager, owned := range before {
		o.evaluateLosses(owned, o.claims(is[manager]))
	}
	for manager, entry := range is {
		if manager.operation != operationApply {
			o.evaluateGains(before[manager], o.claims(entry))
		}
	}
}

// mergesOldest reports whether the API server merges the oldest Update entries in this update, because there are too many.
func (o *ownership) mergesOldest(old []jsontext.Value, was, is map[fieldManager]*managedEntry) bool {
	n := 0
	for _, value := range old {
		entry, err := readEntry(value)
		if err != nil {
			o.broken = true
			return false
		}
		if entry.operation != operationApply {
			n++
		}
	}
	for manager := range is {
		if was[manager] == nil && manager.operation != operationApply && manager.name != oldestManagers {
			n++
		}
	}
	return n > maxUpdateManagers
}

// claims returns the claims of an entry. They are empty for a nil entry.
func (o *ownership) claims(entry *managedEntry) claims {
	cs := claims{}
	if entry != nil && cs.add(entry.fields, false) != nil {
		o.broken = true
	}
	return cs
}

// evaluateLosses finds claims that an entry has lost although the value did not change.
func (o *ownership) evaluateLosses(was, is claims) {
	for c, fields := range was {
		now, kept := is[c]
		// An empty tree stands for the whole field, for example for a list or a map that has become atomic.
		if kept && (fields == nil || string(now) == "{}" || !grows(now, fields, 0)) {
			continue
		}
		if !o.changes(c) {
			o.taken = append(o.taken, c.String())
		}
	}
}

// evaluateGains finds claims that an entry has gained although the value did not change.
func (o *ownership) evaluateGains(was, is claims) {
	for c, fields := range is {
		before, had := was[c]
		if had && (before == nil || !grows(before, fields, 0)) {
			continue
		}
		if !o.changes(c) {
			o.claimed = append(o.claimed, c.String())
		}
	}
}

// changes reports whether the write changes the value of a field. A creation changes each field of the object.
func (o *ownership) changes(c claim) bool {
	if o.parts == nil {
		o.readParts()
	}
	part := claim{section: c.section, name: c.name}
	d := o.parts[part]
	if d == nil || c.key == "" {
		return d != nil
	}
	if o.keys[part] == nil {
		o.keys[part] = o.changedKeys(d)
	}
	return o.keys[part][c.key]
}

func (o *ownership) readParts() {
	differences := o.r.Differences()
	o.parts = make(map[claim]*object.Difference, len(differences))
	for i := range differences {
		d := &differences[i]
		o.parts[claim{section: d.Section, name: d.Name}] = d
	}
}

// changedKeys returns the keys of labels or annotations that differ.
func (o *ownership) changedKeys(d *object.Difference) map[string]bool {
	var was, is map[string]string
	for into, value := range map[*map[string]string]jsontext.Value{&was: d.Old, &is: d.Updated} {
		if value != nil && json.Unmarshal(value, into) != nil {
			o.broken = true
		}
	}
	keys := map[string]bool{}
	changes := compareKeys(was, is)
	for _, changed := range [][]string{changes.added, changes.changed, changes.removed} {
		for _, key := range changed {
			keys[key] = true
		}
	}
	return keys
}

// ownershipCEL is the CEL of the rules on managedFields.
func ownershipCEL() policy.CEL {
	return policy.CEL{
		Kind: policy.Narrower, Strictest: "{}", Gate: "{}", Express: expressOwnership, Touches: touchesOwnership,
		Why: "only entries of server-side apply that are new, or have another time or version, are seen: CEL does not compare the fields " +
			"of entries",
	}
}

// touchesOwnership says in CEL that entries change and, in a write of a subresource or the creation of a pod, some of them are applied or
// all are gone: only other writes have their Update entries evaluated. For the creation of a Node it is [registersOwnership].
func touchesOwnership(on *expression.Scope) string {
	old, updated := on.Both(managedFieldsPath, "[]")
	switch {
	case on.Subresource == "" && on.Operation == expression.Update:
		return expression.Changed(old, updated)
	case on.Resource == "nodes" && on.Operation == expression.Create:
		return registersOwnership(on, updated)
	}
	const applied = "e.?operation.orValue('') == 'Apply'"
	return expression.And(expression.Changed(old, updated), on.Bounded(on.Longer(expression.MaxManagers, old, updated), expression.Or(
		"size("+updated+") == 0", expression.Exists(old, "e", applied), expression.Exists(updated, "e", applied))))
}

// expressOwnership finds the entries that [ownership.evaluateApplied] refuses, except those that grow within a second. Beyond the bound it
// finds none, because others make entries, too.
func expressOwnership(_ *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	old, updated := on.Both(managedFieldsPath, "[]")
	same := []string{}
	for _, name := range []string{"operation", "manager", "subresource", "time", "apiVersion"} {
		same = append(same, "o.?"+name+" == e.?"+name)
	}
	isNew := expression.And(expression.Absent("e", old), expression.Not(expression.Exists(old, "o", expression.And(same...))))
	applied := expression.Filter(updated, "e", expression.And("e.?operation.orValue('') == 'Apply'", isNew))
	return []expression.Expression{named(managedFieldsPath, "must not apply as", expression.If(
		expression.Or(on.Longer(expression.MaxManagers, old, updated), expression.Same(old, updated)), expression.None,
		expression.Texts(applied, "e.?manager.orValue('')")))}
}
