// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package denials

import (
	"fmt"
	"io"
	"slices"

	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/decisionlog"
	"noderestriction.plus/internal/record"
	"noderestriction.plus/internal/recordlog"
)

// readAudit reads audit logs, after all records, so that a record that both have counts once.
func (r *reader) readAudit(files []string) error {
	for _, file := range files {
		r.titles = append(r.titles, command.Title(file))
		if err := r.readAuditFile(file); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) readAuditFile(file string) error {
	f, err := r.open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := r.audit.Read(f, r.addEvent); err != nil {
		return fmt.Errorf("%s: %w", command.Title(file), err)
	}
	return nil
}

// addEvent adds what the records do not have of an event. A compiled policy that only audits may say the same as the webhook.
func (r *reader) addEvent(e *decisionlog.Event) error {
	if r.check != nil {
		r.check.AddEvent(e)
	}
	if e.Webhook != nil && !r.log.Has(e.Webhook.Boot, e.Webhook.Seq) {
		if err := r.show(e.Webhook); err != nil {
			return err
		}
	}
	if e.Server == nil {
		return r.out.Flush()
	}
	if e.Webhook != nil {
		e.Server.Violations = slices.DeleteFunc(e.Server.Violations, func(v record.Violation) bool { return decided(e.Webhook, v) })
		if len(e.Server.Violations) == 0 {
			return r.out.Flush()
		}
	}
	if err := r.show(e.Server); err != nil {
		return err
	}
	return r.out.Flush() // the writer of the log may pause
}

// decided reports whether the webhook has decided the same.
func decided(webhook *recordlog.Entry, v record.Violation) bool {
	return slices.ContainsFunc(webhook.Violations, func(other record.Violation) bool {
		return other.Rule == v.Rule && slices.Contains(decisionlog.Names(other.Policy), v.Policy)
	})
}

// auditProblems says what is wrong with the audit logs.
func (r *reader) auditProblems() []string {
	var all []string
	if n := r.audit.Unreadable; n > 0 {
		all = append(all, "the audit log: "+unreadable(n))
	}
	if n := r.audit.Repeated; n > 0 {
		all = append(all, "the audit log: "+verb(uint64(n), "event", "was", "were")+" read twice and counted once")
	}
	return all
}

// warnOfAudit says what a reader of the answer should know about the audit logs.
func (r *reader) warnOfAudit(w io.Writer) {
	for _, problem := range r.auditProblems() {
		notef(w, "%s", problem)
	}
}

// unreadable says how many lines or records of a log service cannot be read.
func unreadable(n int) string {
	if n == 1 {
		return "1 entry cannot be read"
	}
	return fmt.Sprintf("%d entries cannot be read", n)
}
