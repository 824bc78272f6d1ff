// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package crosscheck_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"noderestriction.plus/internal/auditlog"
	"noderestriction.plus/internal/crosscheck"
	"noderestriction.plus/internal/decisionlog"
	"noderestriction.plus/internal/recordlog"
)

// start is when the first record of a test was written.
var start = time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)

// write is a denied write, with its record and its event.
type write struct {
	boot      string
	seq       int
	minute    float64 // after start
	node      string
	resource  string // with its subresource
	name      string
	operation string
	late      bool
	dryRun    bool
	outcome   string
}

// denied returns a write that was denied some minutes after the start.
func denied(boot string, seq int, minute float64) write {
	return write{
		boot: boot, seq: seq, minute: minute, node: "worker-1", resource: "nodes/status", name: "worker-1", operation: "UPDATE",
		outcome: "denied",
	}
}

func (w write) at() time.Time { return start.Add(time.Duration(w.minute * float64(time.Minute))) }

// record returns the full line.
func (w write) record() string {
	resource, subresource, _ := strings.Cut(w.resource, "/")
	return fmt.Sprintf(`{"ts":%q,"level":"info","logger":"denial","msg":%q,"boot":%q,"seq":%d,"uid":"u%d","node":%q,`+
		`"user":"system:node:%[6]s","operation":%q,"resource":%q,"subresource":%q,"namespace":"","name":%q,"dryRun":%t,"late":%t,`+
		`"clientAuth":"mtls","violations":[{"policy":"p","generation":1,"rule":"node-labels","field":"f","reason":"node labels",`+
		`"detail":"d","action":"Deny"}],"version":"v1","fingerprint":"f%t"}`,
		w.at().Format("2006-01-02T15:04:05.000Z"), w.outcome, w.boot, w.seq, w.seq, w.node, w.operation, resource, subresource, w.name,
		w.dryRun, w.late, w.late)
}

// brief returns the medium line.
func (w write) brief() string {
	return fmt.Sprintf(`{"ts":%q,"level":"info","logger":"denial","msg":%q,"boot":%q,"seq":%d,"uid":"u","node":%q,"operation":%q,`+
		`"resource":"nodes","subresource":"status","name":%q,"dryRun":%t,"clientAuth":"mtls","rules":["p: node-labels"],`+
		`"fingerprint":"brief"}`, w.at().Format("2006-01-02T15:04:05.000Z"), w.outcome, w.boot, w.seq, w.node, w.operation, w.name, w.dryRun)
}

// compact returns the short line.
func (w write) compact(fingerprint string) string {
	return fmt.Sprintf(`{"ts":%q,"level":"info","logger":"denial","msg":%q,"boot":%q,"seq":%d,"uid":"u","node":%q,"fingerprint":%q}`,
		w.at().Format("2006-01-02T15:04:05.000Z"), w.outcome, w.boot, w.seq, w.node, fingerprint)
}

// event returns the event of the audit log, with these members in addition to its own or instead of them.
func (w write) event(more ...string) string {
	verb := map[string]string{"CREATE": "create", "UPDATE": "patch", "DELETE": "delete"}[w.operation]
	resource, subresource, _ := strings.Cut(w.resource, "/")
	query := ""
	if w.dryRun {
		query = "?dryRun=All"
	}
	annotations := `,"annotations":{` + w.annotations("gate") + "}"
	if strings.Contains(strings.Join(more, ","), `"annotations":`) {
		annotations = ""
	}
	event := fmt.Sprintf(`{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"%s-%d","stage":"ResponseComplete",`+
		`"requestURI":"/x%s","verb":%q,"user":{"username":"system:node:%s"},"objectRef":{"resource":%q,"subresource":%q,"name":%q},`+
		`"responseStatus":{"code":403},"requestReceivedTimestamp":%q,"stageTimestamp":%q%s`,
		w.boot, w.seq, query, verb, w.node, resource, subresource, w.name, w.at().Add(-20*time.Millisecond).Format(time.RFC3339Nano),
		w.at().Add(20*time.Millisecond).Format(time.RFC3339Nano), annotations)
	for _, member := range more {
		event += "," + member
	}
	return event + "}"
}

func (w write) annotations(webhook string) string {
	return fmt.Sprintf(`"%[1]s.noderestriction.plus/decision":%[2]q,"%[1]s.noderestriction.plus/policy":"p",`+
		`"%[1]s.noderestriction.plus/rule":"node-labels","%[1]s.noderestriction.plus/boot":%[3]q,"%[1]s.noderestriction.plus/seq":"%[4]d"`,
		webhook, w.outcome, w.boot, w.seq)
}

// with returns a changed copy of the write.
func (w write) with(change func(*write)) write {
	change(&w)
	return w
}

// heartbeat returns an event that names no record, some minutes after the start.
func heartbeat(minute float64) string {
	at := start.Add(time.Duration(minute * float64(time.Minute))).Format(time.RFC3339Nano)
	return fmt.Sprintf(`{"kind":"Event","apiVersion":"audit.k8s.io/v1","stage":"ResponseComplete","auditID":"h%v","requestURI":"/x",`+
		`"verb":"patch","user":{"username":"system:node:a"},"requestReceivedTimestamp":%q,"stageTimestamp":%q}`, minute, at, at)
}

// reads are logs that are compared.
type reads struct {
	records []string
	audits  [][]string // each is an input
	allow   recordlog.Allowances
}

func (in reads) report(t testing.TB) crosscheck.Report {
	t.Helper()
	report, err := in.try()
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func (in reads) try() (crosscheck.Report, error) {
	log := recordlog.NewLog()
	check := crosscheck.New(log)
	reader, err := recordlog.NewReader(strings.NewReader(strings.Join(in.records, "\n") + "\n"))
	if err != nil {
		return crosscheck.Report{}, err
	}
	for {
		line, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return crosscheck.Report{}, err
		}
		if entry := log.Add("records", &line); entry != nil {
			check.AddRecord(entry)
		}
	}
	audit := decisionlog.NewLog(auditlog.Auto)
	for _, lines := range in.audits {
		err := audit.Read(strings.NewReader(strings.Join(lines, "\n")+"\n"), func(e *decisionlog.Event) error {
			check.AddEvent(e)
			return nil
		})
		if err != nil {
			return crosscheck.Report{}, err
		}
	}
	return check.Report(log.Verify(in.allow), audit.Log), nil
}

// records and events are the lines of writes.
func records(all ...write) []string {
	var lines []string
	for _, w := range all {
		lines = append(lines, w.record())
	}
	return lines
}

func events(all ...write) []string {
	lines := []string{heartbeat(-10), heartbeat(60)}
	for _, w := range all {
		lines = append(lines, w.event())
	}
	return lines
}

func TestReport(t *testing.T) {
	// Three writes of one process within half an hour, and two of another.
	a1, a2, a3 := denied("A", 1, 0), denied("A", 2, 10), denied("A", 3, 30)
	b1, b2 := denied("B", 1, 5), denied("B", 2, 20)
	pod := denied("A", 2, 10).with(func(w *write) { w.resource, w.name, w.operation = "pods", "web-0", "DELETE" })
	another := a2.with(func(w *write) { w.node, w.name = "worker-2", "worker-2" })
	for name, test := range map[string]struct {
		records []string
		audits  [][]string
		allow   recordlog.Allowances
		want    crosscheck.Totals
		more    string // unnumbered, repeated, decisions of the API server
	}{
		"everything is in both": {
			records: records(a1, a2, a3, b1, b2), audits: [][]string{events(a1, a2, a3, b1, b2)},
			want: crosscheck.Totals{Records: 5, Both: 5},
		},
		"a record without its event": {
			records: records(a1, a2, a3), audits: [][]string{events(a1, a3)}, want: crosscheck.Totals{Records: 3, Both: 2, WithoutEvent: 1},
		},
		"an event without its record, among the others of its process": {
			records: records(a1, a3), audits: [][]string{events(a1, a2, a3)}, want: crosscheck.Totals{Records: 2, Both: 2, WithoutRecord: 1},
		},
		"a number that neither of them has": {
			records: records(a1, a3), audits: [][]string{events(a1, a3)}, want: crosscheck.Totals{Records: 2, Both: 2, InNeither: 1},
		},
		"the last record of a process is lost while others write": {
			records: records(b1, b2, a1, a3), audits: [][]string{events(a1, a3, b1, b2, denied("B", 3, 25))},
			want: crosscheck.Totals{Records: 4, Both: 4, WithoutRecord: 1, InNeither: 1},
		},
		"all records of a process are lost while others write": {
			records: records(a1, a2, a3), audits: [][]string{events(a1, a2, a3, b1, b2)},
			want: crosscheck.Totals{Records: 3, Both: 3, WithoutRecord: 2},
		},
		"events after the last of all records are not compared": {
			records: records(a1, a2), audits: [][]string{events(a1, a2, a3)}, want: crosscheck.Totals{Records: 2, Both: 2, EventsOutside: 1},
		},
		"events within a minute of the last of all records are not compared": {
			records: records(a1, a2), audits: [][]string{events(a1, a2, denied("B", 1, 9.5))},
			want: crosscheck.Totals{Records: 2, Both: 2, EventsOutside: 1},
		},
		"a log of records that begins late": {
			records: records(a2, a3), audits: [][]string{events(a1, a2, a3)}, allow: recordlog.Allowances{Partial: true},
			want: crosscheck.Totals{Records: 2, Both: 2, EventsBefore: 1},
		},
		"records that the log says it lost": {
			records: append(records(a1), `{"ts":"2026-11-24T08:11:00.000Z","level":"info","logger":"denial","msg":"lost","boot":"A",`+
				`"count":2,"firstSeq":2,"lastSeq":3}`),
			audits: [][]string{events(a1, a2)}, want: crosscheck.Totals{Records: 1, Both: 1, WithoutRecord: 1, InNeither: 1},
		},
		"records before the audit log are not compared": {
			records: records(a1, a2, a3), audits: [][]string{{heartbeat(15), a3.event(), heartbeat(60)}},
			want: crosscheck.Totals{Records: 3, Both: 1, RecordsOutside: 2},
		},
		"records within a minute of the end of the audit log are not compared": {
			records: records(a1, a2, a3), audits: [][]string{{heartbeat(-10), a1.event(), a2.event(), heartbeat(30.9)}},
			want: crosscheck.Totals{Records: 3, Both: 2, RecordsOutside: 1},
		},
		"the log of one of two API servers begins late": {
			records: records(a1, a2, a3),
			audits:  [][]string{{heartbeat(-10), heartbeat(60), a3.event()}, {heartbeat(20), heartbeat(60)}},
			want:    crosscheck.Totals{Records: 3, Both: 1, RecordsOutside: 2},
		},
		"rotated files of one API server, with a quiet time between them, are one log": {
			records: records(a1, a2, a3),
			audits: [][]string{
				{heartbeat(20), heartbeat(60), a3.event()}, {heartbeat(-10), a1.event(), heartbeat(19.5)}, {heartbeat(59.5), heartbeat(70)},
			},
			want: crosscheck.Totals{Records: 3, Both: 2, WithoutEvent: 1},
		},
		"an audit log in which a file is missing": {
			records: records(a1, a2, a3), audits: [][]string{{heartbeat(-10), a1.event(), heartbeat(5)}, {heartbeat(20), a3.event(), heartbeat(60)}},
			want: crosscheck.Totals{Records: 3, Both: 2, RecordsOutside: 1},
		},
		"an audit log without such writes": {
			records: records(a1, pod, a3), audits: [][]string{events(a1, a3)}, want: crosscheck.Totals{Records: 3, Both: 2, RecordsUnlogged: 1},
		},
		"an audit log without any event of the webhook": {
			records: records(a1, a2), audits: [][]string{events()}, want: crosscheck.Totals{Records: 2, RecordsUnlogged: 2},
		},
		"a late answer leaves no annotations": {
			records: records(a1, a2.with(func(w *write) { w.late = true }), a3), audits: [][]string{events(a1, a3)},
			want: crosscheck.Totals{Records: 3, Both: 2, Late: 1},
		},
		"the API server got no answer in time": {
			records: records(a1, a2, a3), audits: [][]string{append(events(a1, a3), a2.event(`"annotations":{}`,
				`"responseStatus":{"code":500,"message":"Internal error occurred: failed calling webhook \"gate.noderestriction.plus\": EOF"}`))},
			want: crosscheck.Totals{Records: 3, Both: 2, Unanswered: 1},
		},
		"the API server got no answer in time, and ignored that": {
			records: records(a1, a2, a3), audits: [][]string{append(events(a1, a3), a2.event(`"responseStatus":{"code":200}`,
				`"annotations":{"failed-open.validating.webhook.admission.k8s.io/round_0_index_1":"status.noderestriction.plus"}`))},
			want: crosscheck.Totals{Records: 3, Both: 2, Unanswered: 1},
		},
		"the API server got no answer of another webhook": {
			records: records(a1, a2, a3), audits: [][]string{append(events(a1, a3), a2.event(`"annotations":{}`,
				`"responseStatus":{"code":500,"message":"Internal error occurred: failed calling webhook \"other.example.com\": EOF"}`))},
			want: crosscheck.Totals{Records: 3, Both: 2, WithoutEvent: 1},
		},
		"one request without an answer explains one record": {
			records: records(a1, a2, denied("A", 3, 10.1), denied("A", 4, 30)),
			audits: [][]string{append(events(a1, denied("A", 4, 30)), a2.event(`"annotations":{}`,
				`"responseStatus":{"code":500,"message":"failed calling webhook \"gate.noderestriction.plus\": EOF"}`))},
			want: crosscheck.Totals{Records: 4, Both: 2, WithoutEvent: 1, Unanswered: 1},
		},
		"a late answer that was still read": {
			records: records(a1.with(func(w *write) { w.late = true })), audits: [][]string{events(a1)}, want: crosscheck.Totals{Records: 1, Both: 1},
		},
		"a brief and a compact record": {
			records: []string{a1.record(), a2.brief(), a3.compact("ffalse")}, audits: [][]string{events(a1, a2, a3)},
			want: crosscheck.Totals{Records: 3, Both: 3},
		},
		"a compact record without an event that an earlier line explains": {
			records: []string{a1.record(), a2.compact("ffalse")}, audits: [][]string{events(a1)},
			want: crosscheck.Totals{Records: 2, Both: 1, WithoutEvent: 1},
		},
		"a compact record without an event that no line explains": {
			records: []string{a1.record(), a2.compact("other")}, audits: [][]string{events(a1)},
			want: crosscheck.Totals{Records: 2, Both: 1, RecordsUnclear: 1},
		},
		"a compact record of a late answer": {
			records: []string{a1.with(func(w *write) { w.late = true }).record(), a2.compact("ftrue")}, audits: [][]string{events(a3)},
			want: crosscheck.Totals{Records: 2, Late: 2, EventsOutside: 1},
		},
		"audited writes and dry runs": {
			records: records(a1.with(func(w *write) { w.outcome, w.dryRun = "audited", true })),
			audits:  [][]string{events(a1.with(func(w *write) { w.outcome, w.dryRun = "audited", true }))},
			want:    crosscheck.Totals{Records: 1, Both: 1},
		},
		"the enforcement probe": {
			records: records(a1.with(func(w *write) { w.outcome, w.dryRun, w.node = "probed", true, "node-restriction-plus-probe" })),
			audits:  [][]string{events(a1.with(func(w *write) { w.dryRun, w.node = true, "node-restriction-plus-probe" }))},
			want:    crosscheck.Totals{Records: 1, Both: 1},
		},
		"a server-side apply that creates its object": {
			records: records(a1.with(func(w *write) { w.operation = "CREATE" })), audits: [][]string{events(a1)},
			want: crosscheck.Totals{Records: 1, Both: 1},
		},
		"two webhooks decided about one request": {
			records: records(a1, a2),
			audits:  [][]string{{heartbeat(-10), a1.event(`"annotations":{` + a1.annotations("gate") + "," + a2.annotations("status") + "}")}},
			want:    crosscheck.Totals{Records: 2, Both: 2},
		},
		"an event that was read twice": {
			records: records(a1), audits: [][]string{events(a1), {a1.event()}}, want: crosscheck.Totals{Records: 1, Both: 1}, more: "0 1 0",
		},
		"an event in two envelopes": {
			records: records(a1, a2), audits: [][]string{events(a1), {`{"message":` + fmt.Sprintf("%q", a1.event()) + "}", a2.event(), a2.event() + " "}},
			want: crosscheck.Totals{Records: 2, Both: 2}, more: "0 2 0",
		},
		"a decision of the API server itself has no record": {
			records: records(a1), audits: [][]string{append(events(a1), a2.event(`"annotations":{"node-restriction-plus-x/decision":"denied",`+
				`"node-restriction-plus-x/policy":"p","node-restriction-plus-x/rule":"r"}`))},
			want: crosscheck.Totals{Records: 1, Both: 1}, more: "0 0 1",
		},
		"an answer that names no record": {
			records: records(a1), audits: [][]string{append(events(a1), a2.event(`"annotations":{"gate.noderestriction.plus/decision":"denied"}`))},
			want: crosscheck.Totals{Records: 1, Both: 1}, more: "1 0 0",
		},
		"an event of another write has the number of a record": {
			records: records(a1, a2, a3), audits: [][]string{events(a1, another, a3)}, want: crosscheck.Totals{Records: 3, Both: 3, Conflicts: 1},
		},
		"an event of another object has the number of a record": {
			records: records(a1), audits: [][]string{events(a1.with(func(w *write) { w.name = "worker-2" }))},
			want: crosscheck.Totals{Records: 1, Both: 1, Conflicts: 1},
		},
		"an event says that a denied write was only audited": {
			records: records(a1), audits: [][]string{events(a1.with(func(w *write) { w.outcome = "audited" }))},
			want: crosscheck.Totals{Records: 1, Both: 1, Conflicts: 1},
		},
		"two events have the number of one record": {
			records: records(a1), audits: [][]string{events(a1, a1.with(func(w *write) { w.minute = 3 }))},
			want: crosscheck.Totals{Records: 1, Both: 1, Conflicts: 1},
		},
		"two events with very long audit IDs have the number of one record": {
			records: records(a1), audits: [][]string{{
				heartbeat(-10), a1.event(`"auditID":"` + strings.Repeat("x", 300) + `"`),
				a1.with(func(w *write) { w.minute = 3 }).event(`"auditID":"` + strings.Repeat("x", 301) + `"`),
			}},
			want: crosscheck.Totals{Records: 1, Both: 1, Conflicts: 1},
		},
		"two events have one number and no record": {
			records: records(a1, a3), audits: [][]string{events(a1, a2, another, a3)},
			want: crosscheck.Totals{Records: 2, Both: 2, WithoutRecord: 1, Conflicts: 1},
		},
		"one audit ID for two writes is no conflict": {
			records: records(a1, a2), audits: [][]string{{heartbeat(-10), a1.event(`"auditID":"x"`), a2.event(`"auditID":"x"`), heartbeat(60)}},
			want: crosscheck.Totals{Records: 2, Both: 2},
		},
		"two records with one number are reported by the log of records": {
			records: records(a1, a2, another), audits: [][]string{events(a1, another)}, want: crosscheck.Totals{Records: 2, Both: 2},
		},
		"a number that is not one, or too large": {
			records: records(a1), audits: [][]string{append(events(a1),
				strings.Replace(a2.event(), `seq":"2"`, `seq":"0x2"`, 1), strings.Replace(a2.event(), `seq":"2"`, `seq":"9223372036854775807"`, 1))},
			want: crosscheck.Totals{Records: 1, Both: 1}, more: "2 0 0",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := reads{test.records, test.audits, test.allow}.report(t)
			if got.Totals != test.want {
				t.Errorf("got  %+v\nwant %+v", got.Totals, test.want)
			}
			if more := fmt.Sprint(got.Unnumbered, got.Repeated, got.APIServer); test.more != "" && more != test.more {
				t.Errorf("got %s, want %s", more, test.more)
			}
		})
	}
}

func TestTheReportNamesWhatIsMissing(t *testing.T) {
	got := reads{
		records: records(denied("A", 1, 0), denied("A", 3, 20), denied("A", 4, 30)),
		audits:  [][]string{events(denied("A", 1, 0), denied("A", 2, 10), denied("A", 4, 30))},
	}.report(t)
	if len(got.MissingEvents) != 1 || got.MissingEvents[0].Seq != 3 || !time.Time(got.MissingEvents[0].Time).Equal(denied("A", 3, 20).at()) {
		t.Errorf("got %+v", got.MissingEvents)
	}
	if len(got.MissingRecords) != 1 {
		t.Fatalf("got %+v", got.MissingRecords)
	}
	m := got.MissingRecords[0]
	if m.Boot != "A" || m.Seq != 2 || m.AuditID != "A-2" || m.User != "system:node:worker-1" || m.Outcome != "denied" ||
		m.Resource != "nodes" || m.Subresource != "status" || m.Name != "worker-1" || m.Webhook != "gate.noderestriction.plus" {
		t.Errorf("got %+v", m)
	}
}
