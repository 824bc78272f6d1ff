// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package record

import (
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
)

// Compact is the short form of a record that equals one that was recently written in full or brief: Fingerprint finds that one.
// It has no violations. Its line has at most 256 bytes.
type Compact struct {
	Time        Time           `json:"ts"`
	Level       string         `json:"level"`
	Logger      string         `json:"logger"`
	Msg         policy.Outcome `json:"msg"`
	Boot        string         `json:"boot"`
	Seq         uint64         `json:"seq"`
	UID         string         `json:"uid"`
	Node        string         `json:"node"` // cut to 32 bytes
	Fingerprint string         `json:"fingerprint"`
}

// Compact returns the short form of the record.
func (r *Record) Compact() Compact {
	return Compact{
		Time: r.Time, Level: r.Level, Logger: r.Logger, Msg: r.Msg, Boot: r.Boot, Seq: r.Seq,
		UID: text.Bound(r.UID, 36), Node: text.Bound(r.Node, 32), Fingerprint: r.Fingerprint,
	}
}
