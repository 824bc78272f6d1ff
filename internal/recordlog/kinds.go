// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package recordlog

import (
	"slices"

	"noderestriction.plus/internal/record"
	"noderestriction.plus/policy"
)

// maxKinds bounds the memory for kinds: two generations of about 500 bytes per entry.
const maxKinds = 50_000

// kinds remembers the latest full and brief records, by the values with which short lines refer to them.
type kinds struct {
	limit             int // of current
	current, previous map[kindKey]*kind
}

type kindKey struct{ boot, fingerprint string }

// kind is what records with the same fingerprint have in common.
type kind struct {
	seq                                          uint64 // of the full or brief line
	brief                                        bool   // it was a brief one
	omitted                                      int    // violations that are not in it
	node, user, operation, resource, subresource string
	subject                                      policy.SubjectKind
	account                                      string
	namespace                                    string // empty, or Unknown where there are namespaces
	dryRun, late                                 bool
	violations                                   []record.Violation // policy, rule and reason
	version                                      string
}

// complete remembers a full or a brief record, and completes a brief and a compact one.
func (k *kinds) complete(e *Entry) {
	key := kindKey{e.Boot, e.Fingerprint}
	known, ok := k.current[key]
	if !ok {
		if known, ok = k.previous[key]; ok {
			k.put(key, known)
		}
	}
	switch {
	case e.Compact && ok:
		known.fill(e)
	case e.Brief:
		if !ok {
			k.put(key, newKind(e))
		} else if !known.brief {
			known.fillBrief(e)
		}
		e.complete()
	case !e.Compact && ok && !known.brief:
		known.seq = e.Seq
	case !e.Compact:
		k.put(key, newKind(e))
	case e.Compact:
		e.User, e.Operation, e.Resource, e.Namespace, e.Name = Unknown, Unknown, Unknown, Unknown, Unknown
		e.Violations = []record.Violation{{Policy: Unknown, Rule: Unknown, Field: Unknown}}
	}
}

func (k *kinds) put(key kindKey, known *kind) {
	if k.current == nil || len(k.current) >= k.limit {
		k.previous, k.current = k.current, make(map[kindKey]*kind)
	}
	k.current[key] = known
}

// complete marks what is not known about a brief record.
func (e *Entry) complete() {
	if e.User == "" {
		e.User = Unknown
	}
	for i := range e.Violations {
		e.Violations[i].Field = Unknown
	}
}

func newKind(e *Entry) *kind {
	k := &kind{
		brief: e.Brief, omitted: e.OmittedViolations,
		seq: e.Seq, node: e.Node, user: e.User, operation: e.Operation, resource: e.Resource, subresource: e.Subresource,
		subject: e.Subject, account: e.Account,
		dryRun: e.DryRun, late: e.Late, version: e.Version, violations: make([]record.Violation, len(e.Violations)),
	}
	if e.Namespace != "" {
		k.namespace = Unknown
	}
	for i, v := range e.Violations {
		k.violations[i] = record.Violation{Policy: v.Policy, Rule: v.Rule, Reason: v.Reason, Field: Unknown}
	}
	return k
}

func (k *kind) fill(e *Entry) {
	e.Like = k.seq
	e.Node, e.User, e.Operation, e.Resource, e.Subresource = k.node, k.user, k.operation, k.resource, k.subresource
	e.Subject, e.Account = k.subject, k.account
	e.Namespace, e.Name = k.namespace, Unknown
	e.DryRun, e.Late, e.Version, e.Violations = k.dryRun, k.late, k.version, k.violations
	e.OmittedViolations = k.omitted
	if k.brief {
		e.User = Unknown
	}
}

// fillBrief adds to a brief record what it has in common with a full one of the same kind, which is all except its object.
func (k *kind) fillBrief(e *Entry) {
	e.Like = k.seq
	e.Node, e.User, e.Resource, e.Subresource = k.node, k.user, k.resource, k.subresource
	e.Subject, e.Account = k.subject, k.account
	e.Version, e.Violations, e.OmittedViolations = k.version, slices.Clone(k.violations), k.omitted
}
