package recordlog

import "noderestriction.plus/internal/record"

// maxKinds bounds the memory for kinds: two generations of some 500 bytes an entry.
const maxKinds = 50_000

// kinds remembers the latest records in full, by what short lines refer to.
type kinds struct {
	limit             int // of current
	current, previous map[kindKey]*kind
}

type kindKey struct{ boot, fingerprint string }

// kind is what records with the same fingerprint have in common.
type kind struct {
	seq                                          uint64 // of the full line
	node, user, operation, resource, subresource string
	namespace                                    string // empty, or Unknown where there are namespaces
	dryRun                                       bool
	violations                                   []record.Violation // policy, rule and reason
	version                                      string
}

// complete remembers a full record, and completes a compact one.
func (k *kinds) complete(e *Entry) {
	key := kindKey{e.Boot, e.Fingerprint}
	known, ok := k.current[key]
	if !ok {
		if known, ok = k.previous[key]; ok {
			k.put(key, known)
		}
	}
	switch {
	case !e.Compact && ok:
		known.seq = e.Seq
	case !e.Compact && !ok:
		k.put(key, newKind(e))
	case e.Compact && ok:
		known.fill(e)
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

func newKind(e *Entry) *kind {
	k := &kind{
		seq: e.Seq, node: e.Node, user: e.User, operation: e.Operation, resource: e.Resource, subresource: e.Subresource,
		dryRun: e.DryRun, version: e.Version, violations: make([]record.Violation, len(e.Violations)),
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
	e.Namespace, e.Name = k.namespace, Unknown
	e.DryRun, e.Version, e.Violations = k.dryRun, k.version, k.violations
}
