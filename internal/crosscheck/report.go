// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package crosscheck

import (
	"maps"
	"slices"
	"time"

	"noderestriction.plus/internal/auditlog"
	"noderestriction.plus/internal/decisionlog"
	"noderestriction.plus/internal/record"
	"noderestriction.plus/internal/recordlog"
	"noderestriction.plus/policy"
)

// Report is the result of a [Check].
type Report struct {
	Totals
	// Events is how many distinct events name a record.
	Events uint64 `json:"events"`
	// APIServer is how many events are of decisions that the API server made itself. They have no record.
	APIServer uint64 `json:"apiServer"`
	// Unnumbered is how many events of the webhook's decisions do not name their record.
	Unnumbered uint64 `json:"unnumbered"`
	// Repeated is how many events were read again, and not counted again.
	Repeated uint64 `json:"repeated"`
	// Unreadable is how many entries of the audit logs cannot be read. A missing event may be among them.
	Unreadable uint64 `json:"unreadable"`
	// From and To are the whole time that the audit logs cover. Absent: their events do not say it.
	From record.Time `json:"from,omitzero"`
	To   record.Time `json:"to,omitzero"`
	// UnloggedKinds are the kinds of write that the audit logs do not have.
	UnloggedKinds []string     `json:"unloggedKinds,omitempty"`
	Boots         []BootReport `json:"boots"`
	// MissingEvents are the first 1,000 records without an event.
	MissingEvents []MissingEvent `json:"missingEvents,omitempty"`
	// MissingRecords are the first 1,000 events without a record.
	MissingRecords []MissingRecord `json:"missingRecords,omitempty"`
	// Conflicting are the first 20 conflicts.
	Conflicting []Conflict `json:"conflicting,omitempty"`
}

// BootReport is what was found about the records of a process.
type BootReport struct {
	Boot string `json:"boot"`
	Totals

	inside uint64 // events without a record, between the first and the last one of the process
}

// Totals are counts of records and events.
type Totals struct {
	Records uint64 `json:"records"`
	// Both is how many records have an event.
	Both uint64 `json:"both"`
	// WithoutEvent is how many records have no event and should have one, WithoutRecord the reverse.
	WithoutEvent  uint64 `json:"withoutEvent"`
	WithoutRecord uint64 `json:"withoutRecord"`
	// InNeither is how many numbers of records are missing and have no event either.
	InNeither uint64 `json:"inNeither"`
	// Conflicts is how many events contradict a record or another event.
	Conflicts uint64 `json:"conflicts"`
	// Late is how many records of late answers have no event, as is to be expected: the API server did not read the answer.
	Late uint64 `json:"late"`
	// Unanswered is how many records have no event, but an event says that the API server got no answer to such a write at that time.
	Unanswered uint64 `json:"unanswered"`
	// RecordsOutside is how many records have no event because the audit logs begin later or end earlier.
	RecordsOutside uint64 `json:"recordsOutside"`
	// RecordsUnlogged is how many records have no event and are of a kind of write that the audit logs do not have.
	RecordsUnlogged uint64 `json:"recordsUnlogged"`
	// RecordsUnclear is how many records have no event, and are compact ones that do not say of what and whether they were late.
	RecordsUnclear uint64 `json:"recordsUnclear"`
	// EventsBefore is how many events have a number before the first record of their process.
	EventsBefore uint64 `json:"eventsBefore"`
	// EventsOutside is how many events have no record because the log of records ends earlier or begins later.
	EventsOutside uint64 `json:"eventsOutside"`
}

func (t *Totals) add(o *Totals) {
	t.Records += o.Records
	t.Both += o.Both
	t.WithoutEvent += o.WithoutEvent
	t.WithoutRecord += o.WithoutRecord
	t.InNeither += o.InNeither
	t.Conflicts += o.Conflicts
	t.Late += o.Late
	t.Unanswered += o.Unanswered
	t.RecordsOutside += o.RecordsOutside
	t.RecordsUnlogged += o.RecordsUnlogged
	t.RecordsUnclear += o.RecordsUnclear
	t.EventsBefore += o.EventsBefore
	t.EventsOutside += o.EventsOutside
}

// NotCompared returns how many records and events are not compared because the logs are not of the same period.
func (t *Totals) NotCompared() uint64 { return t.RecordsOutside + t.EventsBefore + t.EventsOutside }

// Unclear returns how many records and events cannot be compared for another reason.
func (r *Report) Unclear() uint64 { return r.RecordsUnlogged + r.RecordsUnclear + r.Unnumbered }

// Agrees reports whether nothing that was compared is missing or contradicts another.
func (r *Report) Agrees() bool {
	return r.WithoutRecord == 0 && r.Conflicts == 0 && (r.WithoutEvent == 0 || r.mayBeUnreadable())
}

// mayBeUnreadable reports whether the missing events may all be among the entries that cannot be read.
func (r *Report) mayBeUnreadable() bool { return r.WithoutEvent <= r.Unreadable }

// MissingEvent is a record without an event.
type MissingEvent struct {
	Boot string      `json:"boot"`
	Seq  uint64      `json:"seq"`
	Time record.Time `json:"ts"` // to the second
}

// MissingRecord is an event without a record.
type MissingRecord struct {
	Boot        string         `json:"boot"`
	Seq         uint64         `json:"seq"`
	Time        record.Time    `json:"ts"` // when the API server received the request
	AuditID     string         `json:"auditID"`
	Webhook     string         `json:"webhook"`
	Outcome     policy.Outcome `json:"decision"`
	User        string         `json:"user"`
	Operation   string         `json:"operation"`
	Resource    string         `json:"resource"`
	Subresource string         `json:"subresource,omitempty"`
	Namespace   string         `json:"namespace,omitempty"`
	Name        string         `json:"name,omitempty"`
	DryRun      bool           `json:"dryRun,omitempty"`
}

func missingRecord(e *recordlog.Entry, r decisionlog.Receipt) MissingRecord {
	return MissingRecord{
		Boot: r.Boot, Seq: r.Seq, Time: e.Time, AuditID: e.UID, Webhook: r.Webhook, Outcome: r.Outcome, User: e.User,
		Operation: e.Operation, Resource: e.Resource, Subresource: e.Subresource, Namespace: e.Namespace, Name: e.Name, DryRun: e.DryRun,
	}
}

// Conflict is an event that contradicts a record or another event.
type Conflict struct {
	Boot    string `json:"boot"`
	Seq     uint64 `json:"seq"`
	Problem string `json:"problem"`
}

// Report returns the result, given what verifying the log of records has found and what was read of the audit logs.
func (c *Check) Report(found recordlog.Completeness, audit *auditlog.Log) Report {
	r := Report{
		Events: c.events, APIServer: c.server, Unnumbered: c.unnamed, Repeated: c.repeated + uint64(audit.Repeated),
		Unreadable: uint64(audit.Unreadable), MissingRecords: c.missing, Conflicting: c.conflicts, Boots: []BootReport{},
	}
	for _, s := range audit.Spans {
		if from := time.Time(r.From); from.IsZero() || s.From.Before(from) {
			r.From = record.Time(s.From)
		}
		if s.To.After(time.Time(r.To)) {
			r.To = record.Time(s.To)
		}
	}
	lost := map[string]uint64{}
	for _, b := range found.Boots {
		lost[b.Boot] = b.Missing
	}
	c.sortUnanswered()
	logged, unlogged := covered(audit.Spans), map[string]bool{}
	for _, b := range c.order {
		c.explain(b, logged, unlogged, &r)
		inAudit := b.inside
		if !found.Allowed.Partial { // what precedes the first record is missing, too
			inAudit += b.EventsBefore
		}
		if inAudit < lost[b.Boot] {
			b.InNeither = lost[b.Boot] - inAudit
		}
		r.add(&b.Totals)
		r.Boots = append(r.Boots, b.BootReport)
	}
	r.UnloggedKinds = slices.Sorted(maps.Keys(unlogged))
	return r
}

// explain says of each record without an event why that is.
func (c *Check) explain(b *boot, logged []period, unlogged map[string]bool, r *Report) {
	for _, page := range slices.Sorted(maps.Keys(b.chunks)) {
		chunk := b.chunks[page]
		for i := range chunk.marks {
			m := &chunk.marks[i]
			switch {
			case chunk.seen&(1<<i) == 0 || m.event != 0:
			case m.state&late != 0:
				b.Late++
			case c.takeUnanswered(m):
				b.Unanswered++
			case !covers(logged, m.at):
				b.RecordsOutside++
			case m.state&partly != 0 || m.kind == unknownKind:
				b.RecordsUnclear++
			case !c.kinds.logged[m.kind]:
				b.RecordsUnlogged++
				unlogged[c.kinds.names[m.kind]] = true
			default:
				b.WithoutEvent++
				if len(r.MissingEvents) < maxNamed {
					r.MissingEvents = append(r.MissingEvents, MissingEvent{
						Boot: b.Boot, Seq: page*chunkSize + uint64(i) + 1, Time: record.Time(time.Unix(int64(m.at), 0)),
					})
				}
			}
		}
	}
}
