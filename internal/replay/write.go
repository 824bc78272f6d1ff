// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"slices"
	"time"

	"noderestriction.plus/policy"
)

// Evidence is how the verdicts on a write were reached.
type Evidence string

// The evidence, the best first.
const (
	// Stored: the log has everything that the rules read, from what was stored.
	Stored Evidence = "stored"
	// Whatever: the log does not have all of it, and the verdicts are the same whatever stood before.
	Whatever Evidence = "whatever"
	// Undecided: some rules have no verdict.
	Undecided Evidence = "unknown"
)

// Write is a write of a kubelet or a node agent in an audit log, with the verdicts on it. All texts are as the client sent them: neither
// bounded nor printable, except for those in Violations and Unknown.
type Write struct {
	// Time is when the API server received the write.
	Time      time.Time
	UserAgent string
	AuditID   string // the client may choose it
	// Annotations are those of the audit event, such as the decisions of webhooks.
	Annotations map[string]string
	// Level is the audit level of the event. Empty: the log service does not keep it.
	Level string
	// Impersonated says that another user wrote as the kubelet.
	Impersonated bool
	// FailedOpen says that a webhook of this program was not reached, and that the API server ignored that.
	FailedOpen bool
	// Code is the HTTP code of the answer. Others refused a write with a code of 400 or more. 0: not known.
	Code int32

	// Request is the write as far as the log has it: the objects lack the parts that are not known. Its Facts are nil.
	Request policy.Request

	// Rules is how many rules of policies evaluate the write.
	Rules    int
	Evidence Evidence
	// Violations are those that are certain, or certain if the log is complete: see [Violation.Assumes].
	Violations []Violation
	// Unknown are the rules without a verdict. The same rule of several policies has an entry for each.
	Unknown []Unknown
	// Assumes says that some rule has its verdict, of whichever kind, only if the log lacks no write of the object: see [Write.Settle].
	Assumes []Unknown
	// Derived says that the answer to the write is not known, so that nothing shows whether what the log had last has stood before it.
	Derived bool
}

// Settle returns the verdicts on the write, given how complete the log has turned out to be.
func (w *Write) Settle(c Completeness) ([]Violation, []Unknown) {
	if len(w.Assumes) == 0 || c == Whole || c == Fitting && !w.Derived {
		return w.Violations, w.Unknown
	}
	certain := slices.DeleteFunc(slices.Clone(w.Violations), func(v Violation) bool { return v.Assumes })
	return certain, slices.Concat(w.Unknown, w.Assumes)
}

// Violation is a violation that the webhook would have found.
type Violation struct {
	policy.PolicyViolation
	// Assumes says that the verdict holds only if the log lacks no write of the object.
	Assumes bool
	// Request is the write that was evaluated, with its Gaps: that of Write, or one with the object as the log had it last. It has no Facts.
	// Nil: the write was not evaluated.
	Request *policy.Request
}

// Unknown is a rule without a verdict.
type Unknown struct {
	Policy string
	Rule   policy.RuleID
	// Part is what the rule read and the log does not have, such as status.phase. It may be empty.
	Part   string
	Reason Reason
}

// Refused reports whether somebody else refused the write, or the API server could not serve it.
func (w *Write) Refused() bool { return w.Code >= 400 }

// Reason is why a rule has no verdict.
type Reason string

// The reasons.
const (
	NoBody       Reason = "level Metadata"
	NoAnswer     Reason = "level Request: the answer is not logged"
	IsCut        Reason = "the event is cut"
	IsOlder      Reason = "the object is older than the log"
	IsMissing    Reason = "a write of the object is missing from the log"
	IsMutated    Reason = "a mutating webhook changed it"
	IsAmbiguous  Reason = "the patch may be a merge patch or a strategic merge patch"
	IsApplied    Reason = "server-side apply"
	IsLookup     Reason = "a lookup of another object"
	IsIncomplete Reason = "the log lacks writes, or is too short to tell"
	IsTooLarge   Reason = "a value that is too large to be remembered"
	IsStripped   Reason = "managedFields are not logged"
	IsUntracked  Reason = "the object is neither a Node nor a pod, and what stood before is not followed"
	HasNoGroups  Reason = "the log has no groups"
	HasNoExtra   Reason = "the log does not say which node a token names"
	HasPanicked  Reason = "the API server panicked"
	IsUnreadable Reason = "the objects in the log cannot be read"
)

// Reasons returns all reasons, in the order of reports.
func Reasons() []Reason {
	return []Reason{
		IsOlder, NoBody, NoAnswer, IsCut, IsMissing, IsIncomplete, IsMutated, IsAmbiguous, IsApplied, IsLookup, IsUntracked, IsTooLarge,
		IsStripped, HasNoGroups, HasNoExtra, HasPanicked, IsUnreadable,
	}
}

// Remedy returns what makes the log say more the next time; empty if nothing does.
func (r Reason) Remedy() string {
	switch r {
	case NoBody, NoAnswer, IsStripped:
		return "the audit policy of docs/replay.md"
	case IsOlder:
		return "--objects, or a longer log"
	case IsCut:
		return "a log that is not cut, such as the file of the API server"
	case IsMissing:
		return "the logs of all API servers, without gaps"
	case IsIncomplete:
		return "the logs of all API servers, without gaps; --complete if they are"
	case HasNoExtra:
		return "the records of the policy with [Audit]"
	case IsMutated, IsAmbiguous, IsApplied, IsLookup, IsUntracked, IsTooLarge, HasNoGroups, HasPanicked, IsUnreadable:
	}
	return ""
}
