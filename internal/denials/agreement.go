// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package denials

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/crosscheck"
	"noderestriction.plus/internal/record"
)

// agreement is the error of --verify with an audit log, given that records are complete. With partial, logs may be of other periods.
func agreement(r *crosscheck.Report, partial bool) error {
	switch {
	case !r.Agrees():
		return command.No("the records and the audit log do not agree")
	case r.Both == 0:
		return errors.New("no event of the audit log names one of these records, which proves nothing: is it of this cluster and this time," +
			" and does its policy have a level for the writes of kubelets?")
	case r.WithoutEvent > 0:
		return errors.New("the missing events may be among the entries of the audit log that cannot be read")
	case r.Unclear() > 0:
		return errors.New("not all records and events could be compared")
	case r.NotCompared() > 0 && !partial:
		return errors.New("the records and the audit log are not of the same period; if that is meant, --partial")
	}
	return nil
}

// writeAgreement writes what comparing the records with an audit log has found.
func writeAgreement(w io.Writer, r *crosscheck.Report) error {
	t := &command.Table{Header: []string{"BOOT", "IN BOTH", "NO EVENT", "NO RECORD", "IN NEITHER", "CONFLICTS", "NOT COMPARED"}}
	number := func(n uint64) string { return strconv.FormatUint(n, 10) }
	for i := range r.Boots {
		b := &r.Boots[i]
		t.Add(b.Boot, number(b.Both), number(b.WithoutEvent), number(b.WithoutRecord), number(b.InNeither), number(b.Conflicts),
			number(b.NotCompared()+b.Late+b.Unanswered+b.RecordsUnlogged+b.RecordsUnclear))
	}
	if !t.Empty() {
		if err := t.Write(w); err != nil {
			return err
		}
	}
	var b strings.Builder
	for _, line := range append(disagreements(r), uncompared(r)...) {
		b.WriteString(line + "\n")
	}
	if r.Agrees() && r.Both > 0 {
		fmt.Fprintf(&b, "audit log: %s in both, none of those compared is missing\n", are(r.Both, "record"))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// disagreements are what is missing or contradicts another, a line each.
func disagreements(r *crosscheck.Report) []string {
	var all []string
	for i, m := range r.MissingEvents {
		if i == maxNamed {
			all = append(all, verb(r.WithoutEvent-maxNamed, "more record", "has", "have")+" no event; -o json names more of them")
			break
		}
		all = append(all, fmt.Sprintf("boot %s: seq %d of %s has no event", m.Boot, m.Seq, secondText(m.Time)))
	}
	for i, m := range r.MissingRecords {
		if i == maxNamed {
			all = append(all, verb(r.WithoutRecord-maxNamed, "more event", "has", "have")+" no record; -o json names more of them")
			break
		}
		all = append(all, fmt.Sprintf("boot %s: seq %d has no record: %s %s, %s %s of %s, audit ID %s", m.Boot, m.Seq, timeText(m.Time),
			m.Outcome, m.Operation, writtenTo(&m), orDash(m.User), orDash(m.AuditID)))
	}
	for _, c := range r.Conflicting {
		all = append(all, fmt.Sprintf("boot %s: seq %d: %s", c.Boot, c.Seq, c.Problem))
	}
	if more := r.Conflicts - uint64(len(r.Conflicting)); more > 0 {
		all = append(all, count(more, "more conflict"))
	}
	return all
}

// writtenTo returns the resource and the object that a request wrote.
func writtenTo(m *crosscheck.MissingRecord) string {
	target := m.Resource
	if m.Subresource != "" {
		target += "/" + m.Subresource
	}
	name := m.Name
	if m.Namespace != "" {
		name = m.Namespace + "/" + m.Name
	}
	if name == "" {
		return target
	}
	return target + " " + name
}

// uncompared are what was not compared, and why, a line each.
func uncompared(r *crosscheck.Report) []string {
	var all []string
	for _, part := range []struct {
		n    uint64
		noun string
		why  string
	}{
		{r.InNeither, "missing record", "in neither log"},
		{r.RecordsOutside, "record", "not compared: the audit log " + span(r)},
		{r.EventsBefore, "event", "not compared: before the first record of the process"},
		{r.EventsOutside, "event", "not compared: after the last record of the process, or not while records were written"},
		{r.RecordsUnlogged, "record", "not compared: the audit log has no event of " + strings.Join(r.UnloggedKinds, ", ")},
		{r.RecordsUnclear, "record", "not compared: the line is a short one, and does not say whether the answer was late"},
		{r.Late, "record", "of late answers, which the API server did not read"},
		{r.Unanswered, "record", "of writes for which the API server says that it got no answer in time"},
		{r.Unnumbered, "event", "of answers that do not name their record"},
		{r.APIServer, "event", "of the API server itself, which has no records"},
	} {
		if part.n > 0 {
			all = append(all, are(part.n, part.noun)+" "+part.why)
		}
	}
	if r.Unreadable > 0 {
		all = append(all, "the audit log: "+unreadable(int(r.Unreadable)))
	}
	if r.Repeated > 0 {
		all = append(all, "the audit log: "+verb(r.Repeated, "event", "was", "were")+" read twice and counted once")
	}
	return all
}

// span says when the audit logs begin and end.
func span(r *crosscheck.Report) string {
	if time.Time(r.From).IsZero() {
		return "does not say when its events were written"
	}
	return "is of " + timeText(r.From) + " to " + timeText(r.To)
}

// secondText is a time that is known to the second.
func secondText(t record.Time) string { return time.Time(t).UTC().Format(time.RFC3339) }
