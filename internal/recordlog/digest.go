// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package recordlog

import (
	"hash/maphash"
	"time"
)

// digest is a hash of a record: 16 bits of what all forms of its line have in common, and 16 of the whole line, which are
// 0 for a brief and a compact one. The seed is random, so that records cannot be crafted to collide.
type digest uint32

const wholeBits = 0xffff

func newDigest(seed maphash.Seed, line *Line) digest {
	r := &line.Record
	var h maphash.Hash
	h.SetSeed(seed)
	at, _ := time.Time(r.Time).MarshalBinary() // fails only for odd time zones, and this is UTC
	_, _ = h.Write(at)
	for _, s := range []string{string(r.Msg), r.UID[:min(len(r.UID), 33)], r.Fingerprint} { // a compact line cuts the UID
		_, _ = h.WriteString(s)
		_ = h.WriteByte(0)
	}
	d := digest(h.Sum64()) &^ wholeBits
	if line.Kind == Full {
		d |= max(1, digest(maphash.Bytes(seed, line.text))&wholeBits)
	}
	return d
}

// same reports whether two lines are of the same record. Two copies of a log may have different forms of it.
func (d digest) same(other digest) bool {
	return d == other || d&^wholeBits == other&^wholeBits && (d&wholeBits == 0 || other&wholeBits == 0)
}
