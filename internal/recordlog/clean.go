// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package recordlog

import (
	"noderestriction.plus/internal/record"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
)

// clean makes every text of a record printable.
func clean(r *record.Record) {
	r.Msg = policy.Outcome(text.Printable(string(r.Msg)))
	r.Subject = policy.SubjectKind(text.Printable(string(r.Subject)))
	r.ClientAuth = record.ClientAuth(text.Printable(string(r.ClientAuth)))
	for _, s := range []*string{
		&r.UID, &r.Node, &r.User, &r.Account, &r.Operation, &r.Resource, &r.Subresource, &r.Namespace, &r.Name, &r.Version,
		&r.Fingerprint,
	} {
		*s = text.Printable(*s)
	}
	for i := range r.Violations {
		v := &r.Violations[i]
		for _, s := range []*string{&v.Policy, &v.Rule, &v.Field, &v.Reason, &v.Detail, &v.Action} {
			*s = text.Printable(*s)
		}
	}
}
