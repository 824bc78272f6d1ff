// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package record defines the record of a write that violates a policy: one JSON line, whatever the write contains. Every value
// is bounded and printable, and so is the line, by construction.
package record

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"time"

	"noderestriction.plus/policy"
)

const (
	// MaxLine is the maximum length of a line, in bytes, with its newline. A write of that size to a pipe is atomic.
	MaxLine = 4096
	// MaxCompactLine is the maximum length of the line of a [Compact] record, in bytes, with its newline.
	MaxCompactLine = 256

	// Level is the value of the key level of every line.
	Level = "info"
	// Logger is the value of the key logger of every line.
	Logger = "denial"
)

// Probed is the outcome of the enforcement probe's write, instead of [policy.Denied]. It has a Seq, but it is not a denial: no
// kubelet wrote.
const Probed policy.Outcome = "probed"

// ClientAuth is how the sender of a review authenticated.
type ClientAuth string

const (
	// ClientAuthNone means that anyone who can reach the port may have sent the review.
	ClientAuthNone ClientAuth = "none"
	// ClientAuthMTLS means that the sender's client certificate was verified.
	ClientAuthMTLS ClientAuth = "mtls"
)

// Record is one record. Its JSON has the keys in the order of the fields, with any encoder.
type Record struct {
	Time   Time           `json:"ts"`
	Level  string         `json:"level"`
	Logger string         `json:"logger"`
	Msg    policy.Outcome `json:"msg"`

	// Boot is the random ID of the replica's process, at most 16 characters. Seq is the number of the record in that process,
	// from 1 without gaps, so that a lost record can be detected.
	Boot string `json:"boot"`
	Seq  uint64 `json:"seq"`

	UID  string `json:"uid"`  // of the AdmissionReview, not of an object
	Node string `json:"node"` // as named in the credential
	User string `json:"user"`
	// Subject is the kind of a node agent, and Account the service account, as <namespace>/<name>, or the user name. Both are omitted for a
	// kubelet.
	Subject     policy.SubjectKind `json:"subject,omitzero"`
	Account     string             `json:"account,omitzero"`
	Operation   string             `json:"operation"`
	Resource    string             `json:"resource"`
	Subresource string             `json:"subresource"`
	Namespace   string             `json:"namespace"`
	Name        string             `json:"name"`
	DryRun      bool               `json:"dryRun"`
	Late        bool               `json:"late,omitzero"` // the sender had stopped waiting for the answer
	ClientAuth  ClientAuth         `json:"clientAuth"`
	Violations  []Violation        `json:"violations"`
	Version     string             `json:"version"` // of the program

	// Fingerprint is equal for records with the same outcome, client, node, operation, resource, dry run, lateness, policies and rules. A
	// [Compact] record has it instead of these.
	Fingerprint string `json:"fingerprint"`
	// Truncated says that a value was cut or violations were omitted, OmittedViolations how many.
	Truncated         bool `json:"truncated,omitzero"`
	OmittedViolations int  `json:"omittedViolations,omitzero"`

	// Decision is the whole decision, for metrics. It is not part of the line.
	Decision policy.Decision `json:"-"`
}

// Violation is one violation in a record.
type Violation struct {
	Policy     string `json:"policy"` // empty if no policy decided
	Generation int64  `json:"generation"`
	Rule       string `json:"rule"`
	Field      string `json:"field"`
	Reason     string `json:"reason"`
	Detail     string `json:"detail"`
	Action     string `json:"action"`
}

// Origin is what a record has besides the write and the decision.
type Origin struct {
	UID        string // of the AdmissionReview
	User       string // full user name
	ClientAuth ClientAuth
	Version    string // of the program
	Probe      bool   // it is the enforcement probe's
	Late       bool   // the answer is after its deadline
}

// New returns the record of a decision. The log sets Time, Boot and Seq.
func New(from Origin, r *policy.Request, d policy.Decision) Record {
	var b bounds
	rec := Record{
		Level: Level, Logger: Logger, Msg: d.Outcome(),
		UID:         b.value(from.UID, 128),
		Node:        b.value(r.NodeName, MaxValue),
		User:        b.value(from.User, MaxValue),
		Subject:     policy.SubjectKind(b.value(string(r.Subject.Kind), 16)),
		Account:     b.value(r.Subject.Account, MaxValue),
		Operation:   b.value(string(r.Operation), 16),
		Resource:    b.value(r.Resource, 128),
		Subresource: b.value(r.Subresource, 64),
		Namespace:   b.value(r.Namespace, 128),
		Name:        b.value(r.Name, MaxValue),
		DryRun:      r.DryRun,
		Late:        from.Late,
		ClientAuth:  ClientAuth(b.value(string(from.ClientAuth), 16)),
		Version:     b.value(from.Version, 64),
		Fingerprint: fingerprint(r, d, from.Late),
		Violations:  []Violation{},
		Decision:    d,
	}
	for i, v := range d.Violations {
		violation := b.violation(v)
		if b.used > MaxLine-maxKeys {
			rec.OmittedViolations = len(d.Violations) - i
			break
		}
		rec.Violations = append(rec.Violations, violation)
	}
	if from.Probe {
		rec.Msg = Probed
	}
	rec.Truncated = b.cut || rec.OmittedViolations > 0
	return rec
}

// fingerprint returns a hash of what equal records have in common.
func fingerprint(r *policy.Request, d policy.Decision, late bool) string {
	h := sha256.New()
	write := func(values ...string) {
		for _, v := range values {
			_, _ = io.WriteString(h, v)
			_, _ = h.Write([]byte{0}) // so that a|bc and ab|c differ
		}
	}
	write(string(d.Outcome()), r.NodeName, string(r.Operation), r.Resource, r.Subresource)
	if !r.Subject.IsKubelet() {
		write("subject", string(r.Subject.Kind), r.Subject.Account)
	}
	if r.DryRun {
		write("dryRun")
	}
	if late {
		write("late")
	}
	for _, v := range d.Violations {
		write(v.Policy, string(v.Rule))
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// Time is a time in a line: UTC, to the millisecond.
type Time time.Time

// TimeLayout is the form of a Time.
const TimeLayout = "2006-01-02T15:04:05.000Z"

// MarshalText implements [encoding.TextMarshaler]. It returns no error.
func (t Time) MarshalText() ([]byte, error) {
	return time.Time(t).UTC().AppendFormat(nil, TimeLayout), nil
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (t *Time) UnmarshalText(text []byte) error {
	parsed, err := time.Parse(TimeLayout, string(text))
	*t = Time(parsed)
	return err
}
