// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"strings"

	"noderestriction.plus/internal/text"
)

// maxMessage is the largest size of a message, in bytes.
const maxMessage = 1024

// maxNote is the largest size of a note in a message, in bytes.
const maxNote = 256

// message returns a sentence with the policies and rules that a write violates: lower case, without a period, of at most 1 KiB.
func (d Decision) message(verb string, action func(PolicyViolation) bool) string {
	var b strings.Builder
	policy, rule, open := "", RuleID(""), false
	for _, v := range d.Violations {
		if !action(v) {
			continue
		}
		switch {
		case b.Len() == 0:
			fmt.Fprintf(&b, "%s %s NodeRestrictionPolicy %s: ", d.client(), verb, text.Quote(v.Policy))
		case v.Policy != policy:
			fmt.Fprintf(&b, "); NodeRestrictionPolicy %s: ", text.Quote(v.Policy))
		case v.Rule != rule:
			b.WriteString("), ")
		}
		if v.Policy != policy || v.Rule != rule {
			b.WriteString(v.Rule.Reason())
			b.WriteString(" (")
		} else {
			b.WriteString("; ")
		}
		b.WriteString(v.Detail)
		policy, rule, open = v.Policy, v.Rule, true
	}
	if !open {
		return ""
	}
	b.WriteString(")")
	note := ""
	if d.note != "" {
		note = "; " + text.Cut(d.note, maxNote)
	}
	return text.Cut(b.String(), maxMessage-len(note)) + note
}

// client names who writes.
func (d Decision) client() string {
	switch {
	case d.Subject.IsKubelet():
		return "node " + text.Quote(d.NodeName)
	case d.NodeName == "":
		return "node agent " + text.Quote(d.Subject.Account)
	}
	return "node agent " + text.Quote(d.Subject.Account) + " on " + text.Quote(d.NodeName)
}
