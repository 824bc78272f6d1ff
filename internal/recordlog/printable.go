// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package recordlog

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"noderestriction.plus/internal/record"
	"noderestriction.plus/policy"
)

// Printable writes what does not print as a Go escape, such as \x1b or \u2028, as records have it already: a file may
// have been forged, and its text goes to terminals.
func Printable(s string) string {
	plain := 0
	for plain < len(s) && s[plain] >= ' ' && s[plain] <= '~' {
		plain++
	}
	if plain == len(s) {
		return s
	}
	var b strings.Builder
	b.WriteString(s[:plain])
	for i, width := plain, 0; i < len(s); i += width {
		var r rune
		r, width = utf8.DecodeRuneInString(s[i:])
		text := s[i : i+width]
		if r == utf8.RuneError && width == 1 || !strconv.IsPrint(r) {
			quoted := strconv.Quote(text)
			text = quoted[1 : len(quoted)-1]
		}
		b.WriteString(text)
	}
	return b.String()
}

// clean makes every text of a record printable.
func clean(r *record.Record) {
	r.Msg = policy.Outcome(Printable(string(r.Msg)))
	r.ClientAuth = record.ClientAuth(Printable(string(r.ClientAuth)))
	for _, s := range []*string{
		&r.UID, &r.Node, &r.User, &r.Operation, &r.Resource, &r.Subresource, &r.Namespace, &r.Name, &r.Version,
		&r.Fingerprint,
	} {
		*s = Printable(*s)
	}
	for i := range r.Violations {
		v := &r.Violations[i]
		for _, s := range []*string{&v.Policy, &v.Rule, &v.Field, &v.Reason, &v.Detail, &v.Action} {
			*s = Printable(*s)
		}
	}
}
