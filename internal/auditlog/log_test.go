// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package auditlog_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"noderestriction.plus/internal/auditlog"
)

// read reads inputs and returns a line for each event.
func read(t *testing.T, log *auditlog.Log, inputs ...string) []string {
	t.Helper()
	var events []string
	for _, in := range inputs {
		if err := log.Read(strings.NewReader(in), func(e *auditlog.Event) error {
			events = append(events, line(e))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	return events
}

func line(e *auditlog.Event) string {
	request := e.Request()
	return fmt.Sprintf("%s: %s: %s %s %d", e.AuditID, e.Client().Username, request.String(), e.Decision()+e.Reason(), e.ResponseStatus.Code)
}

func event(id, stage string) string {
	return fmt.Sprintf(`{"kind":"Event","auditID":%q,"stage":%q,"verb":"watch","requestURI":"/api/v1/pods?watch=1","user":{"username":"a"}}`, id, stage)
}

func TestRead(t *testing.T) {
	const watch = "%d: a: watch /api/v1/pods  0"
	one, two := fmt.Sprintf(watch, 1), fmt.Sprintf(watch, 2)
	for name, test := range map[string]struct {
		log             string
		want            []string
		unreadable, cut int
	}{
		"nothing": {},
		"an event with all that is read, whose query is not well-formed": {
			log: `{"stage":"ResponseComplete","auditID":"x","verb":"list","requestURI":"/api/v1/pods?fieldSelector=spec.nodeName%3Da&x=%zz",` +
				`"user":{"username":"b"},"impersonatedUser":{"username":"a"},"objectRef":{"resource":"pods","namespace":"n","name":"o"},` +
				`"responseStatus":{"code":403},"annotations":{"authorization.k8s.io/decision":"forbid","authorization.k8s.io/reason":"no"},` +
				`"responseObject":{"a":[{}],"a":1}}`,
			want: []string{"x: a: list pods n/o with spec.nodeName=a forbidno 403"},
		},
		"a selector of a name": {
			log: `{"stage":"Panic","auditID":"x","verb":"list","requestURI":"/x?fieldSelector=metadata.name==b,spec.nodeName!=c",` +
				`"user":{"username":"a"},"objectRef":{"resource":"nodes"}}`,
			want: []string{"x: a: list nodes b  0"},
		},
		"empty lines and line ends of Windows": {log: "\r\n\n" + event("1", "Panic") + "\r\n \n" + event("2", "Panic"), want: []string{one, two}},
		"an event that is read twice":          {log: event("1", "Panic") + "\n" + event("1", "Panic"), want: []string{one}},
		"two requests with one audit ID":       {log: event("1", "Panic") + "\n" + event("1", "ResponseComplete"), want: []string{one, one}},
		"lists in lists":                       {log: `[[` + event("1", "Panic") + `],[]]` + "\n" + `[` + event("2", "Panic") + `]`, want: []string{one, two}},
		"other lines": {
			log:  "text\n{\"kind\":\"Pod\"}\n{\n[]\n7\n{\"verb\":7}\n" + event("1", "Panic") + "\n{\"kind\":\"Event\"",
			want: []string{one}, unreadable: 6, cut: 2,
		},
		"an event of the core API":         {log: event("1", "Panic") + "\n" + `{"kind":"Event","apiVersion":"v1","stage":"Panic"}`, want: []string{one}, unreadable: 1},
		"a document that is cut":           {log: "[\n" + event("1", "Panic") + ",\n" + event("2", "Panic")[:40], want: []string{one}, unreadable: 1, cut: 1},
		"a message that CloudWatch cut":    {log: event("1", "Panic") + "\n" + `{"message":"{\"kind\":\"Event\",\"verb\":\"li[Truncated...]"}`, want: []string{one}, unreadable: 1, cut: 1},
		"a message that is no event":       {log: event("1", "Panic") + "\n" + `{"message":"x"}` + "\n" + `{"message":7}`, want: []string{one}, unreadable: 2},
		"envelopes without end":            {log: event("1", "Panic") + "\n" + strings.Repeat(`{"log":`, 20) + "{}" + strings.Repeat("}", 20), want: []string{one}, unreadable: 1},
		"brackets without end":             {log: event("1", "Panic") + "\n" + strings.Repeat(`[`, 1<<20), want: []string{one}, unreadable: 1},
		"objects without end":              {log: event("1", "Panic") + "\n" + strings.Repeat(`{"a":`, 1<<18), want: []string{one}, unreadable: 1},
		"an event in an object of another": {log: strings.Replace(event("1", "Panic"), `{`, `{"requestObject":`+event("2", "Panic")+`,`, 1), want: []string{one}},
	} {
		t.Run(name, func(t *testing.T) {
			log := auditlog.NewLog(auditlog.Auto)
			events := read(t, log, test.log)
			if strings.Join(events, "\n") != strings.Join(test.want, "\n") || log.Unreadable != test.unreadable || log.Cut != test.cut {
				t.Errorf("got %q, %d unreadable, %d cut; want %q, %d, %d",
					events, log.Unreadable, log.Cut, test.want, test.unreadable, test.cut)
			}
			if log.Entries != log.Events+log.Others+log.Unreadable {
				t.Errorf("%d entries, %d events, %d others, %d unreadable", log.Entries, log.Events, log.Others, log.Unreadable)
			}
		})
	}
}

func TestReadNamesWhatCannotBeRead(t *testing.T) {
	long := `{"kind":"Event","x":"` + strings.Repeat("x", auditlog.MaxEntry) + `"}`
	for name, test := range map[string]struct{ log, want string }{
		"text":                          {"\ntext\n{", "no event can be read: line 2 is not JSON"},
		"another object":                {`{"kind":"Pod"}`, "no event can be read: line 1 is no event, or not in the format auto"},
		"an event that is cut":          {event("1", "Panic")[:50], "no event can be read: line 1 is cut"},
		"a line that is too long":       {long, "no event can be read: line 1 is longer than 16 MiB"},
		"a document that is cut":        {"[\n{", "no event can be read: what follows byte 1 is cut"},
		"a document that is not JSON":   {"[\n{}}", "what follows byte 4 is not JSON; the rest is not read"},
		"an element that is too long":   {"[\n" + long + "]", "what follows byte 1 is longer than 16 MiB; the rest is not read"},
		"many members that are too big": {"{\n" + strings.Repeat(`"a":"`+strings.Repeat("x", 1<<20)+"\",\n", 20) + `"b":1}`, "is longer than 16 MiB; the rest is not read"},
	} {
		t.Run(name, func(t *testing.T) {
			err := auditlog.NewLog(auditlog.Auto).Read(strings.NewReader(test.log), func(*auditlog.Event) error { return nil })
			if err == nil || !strings.HasSuffix(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

func TestALineThatIsTooLongIsSkipped(t *testing.T) {
	long := strings.TrimSuffix(event("1", "Panic"), "}") + `,"x":"` + strings.Repeat("x", auditlog.MaxEntry) + `"}`
	big := strings.TrimSuffix(event("3", "Panic"), "}") + `,"requestObject":"` + strings.Repeat("x", 4<<20) + `"}`
	log := auditlog.NewLog(auditlog.Auto)
	if events := read(t, log, long+"\n"+event("2", "Panic")+"\n"+big); len(events) != 2 || log.Unreadable != 1 || log.Entries != 3 {
		t.Errorf("got %q, %d of %d unreadable", events, log.Unreadable, log.Entries)
	}
}

// TestAListOfAnyLengthIsRead reads a document that is longer than the longest entry.
func TestAListOfAnyLengthIsRead(t *testing.T) {
	padded := strings.TrimSuffix(event("1", "Panic"), "}") + `,"requestObject":"` + strings.Repeat("x", 2<<20) + `"}`
	document := "{\n\"kind\":\"EventList\",\"items\":[" + padded + strings.Repeat(","+padded, 9) + "," + event("2", "Panic") + "]}"
	log := auditlog.NewLog(auditlog.Auto)
	if events := read(t, log, document); len(events) != 2 || log.Repeated != 9 || log.Events != 11 {
		t.Errorf("%d events, %+v", len(events), log)
	}
}

func TestReadStopsAtAnError(t *testing.T) {
	stop := errors.New("stop")
	for name, in := range map[string]string{
		"lines":    event("1", "Panic") + "\n" + event("2", "Panic"),
		"a list":   "[" + event("1", "Panic") + ",\n" + event("2", "Panic") + "]",
		"one line": `{"items":[` + event("1", "Panic") + "," + event("2", "Panic") + "]}",
		"a stream": event("1", "Panic") + event("2", "Panic"),
	} {
		calls := 0
		err := auditlog.NewLog(auditlog.Auto).Read(strings.NewReader(in), func(*auditlog.Event) error {
			calls++
			return stop
		})
		if !errors.Is(err, stop) || calls != 1 {
			t.Errorf("%s: %v after %d calls", name, err, calls)
		}
	}
	failed := errors.New("failed")
	for name, in := range map[string]string{"lines": event("1", "Panic") + "\n", "a list": "[" + event("1", "Panic") + ","} {
		r := io.MultiReader(strings.NewReader(in), iotest.ErrReader(failed))
		log := auditlog.NewLog(auditlog.Auto)
		if err := log.Read(r, func(*auditlog.Event) error { return nil }); !errors.Is(err, failed) || log.Events != 1 {
			t.Errorf("%s: %v after %d events", name, err, log.Events)
		}
	}
}

func TestAGzipFileIsRead(t *testing.T) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, event("1", "Panic")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if events := read(t, auditlog.NewLog(auditlog.Auto), b.String()); len(events) != 1 {
		t.Errorf("got %q", events)
	}
}

// TestInputsAreOneLog tests that events of files that overlap count once, that what is not wanted is counted, and the time of all.
func TestInputsAreOneLog(t *testing.T) {
	at := func(id, at string) string {
		return strings.Replace(event(id, "Panic"), `{`, `{"requestReceivedTimestamp":"`+at+`",`, 1) + "\n"
	}
	log := auditlog.NewLog(auditlog.Auto)
	log.Want = func(e *auditlog.Event) bool { return e.AuditID != "3" }
	first, second, third := at("1", "2026-11-20T08:00:00Z"), at("2", "2026-11-20T09:00:00Z"), at("3", "2026-11-20T07:00:00Z")
	events := read(t, log, second+third, first+second)
	if len(events) != 2 || log.Events != 4 || log.Repeated != 1 || log.First.Hour() != 7 || log.Last.Hour() != 9 {
		t.Errorf("got %q, %+v", events, log)
	}
}

func TestIsFirst(t *testing.T) {
	started := func(id, user string) string {
		return strings.Replace(event(id, "ResponseStarted"), `"a"`, `"`+user+`"`, 1) + "\n"
	}
	for name, test := range map[string]struct {
		log  string
		want int
	}{
		"one request with several stages":         {event("1", "RequestReceived") + "\n" + started("1", "a") + event("1", "ResponseComplete"), 1},
		"a request whose end is in the log alone": {event("1", "ResponseComplete"), 1},
		"two requests": {started("1", "a") + event("2", "Panic"), 2},
		"a request that has the audit ID of another user": {started("1", "b") + event("1", "ResponseComplete"), 2},
	} {
		t.Run(name, func(t *testing.T) {
			answers, first := auditlog.NewAnswers(), 0
			if err := auditlog.NewLog(auditlog.Auto).Read(strings.NewReader(test.log), func(e *auditlog.Event) error {
				if answers.IsFirst(e) {
					first++
				}
				return nil
			}); err != nil || first != test.want {
				t.Errorf("%d answers, %v; want %d", first, err, test.want)
			}
		})
	}
}

// TestDryRun tests that a token is issued even in a dry run.
func TestDryRun(t *testing.T) {
	for uri, want := range map[string]bool{"/x": false, "/x?dryRun=All": true, "/x?a=%zz&dryRun=All": true} {
		e := auditlog.Event{RequestURI: uri}
		if got := e.DryRun(); got != want {
			t.Errorf("%s: %t", uri, got)
		}
		if e.ObjectRef = (auditlog.ObjectRef{Resource: "serviceaccounts", Subresource: "token"}); e.DryRun() {
			t.Errorf("%s: a token", uri)
		}
	}
}

// FuzzRead checks that an input of any bytes is read to its end, in every format, with counts that agree.
func FuzzRead(f *testing.F) {
	f.Add(event("1", "Panic"))
	f.Add("[\n" + event("1", "Panic"))
	for _, file := range formats(f) {
		f.Add(string(file.Data))
	}
	f.Fuzz(func(t *testing.T, in string) {
		if len(in) > 1<<16 {
			t.Skip()
		}
		for _, format := range auditlog.Formats() {
			log, events := auditlog.NewLog(auditlog.Format(format)), 0
			err := log.Read(strings.NewReader(in), func(e *auditlog.Event) error {
				_, _ = e.Request(), e.DryRun()
				events++
				return nil
			})
			if log.Entries != log.Events+log.Others+log.Unreadable || log.Cut > log.Unreadable || events+log.Repeated != log.Events {
				t.Errorf("%s: %d events, %+v, %v", format, events, log, err)
			}
		}
	})
}

// BenchmarkRead reads events of level Metadata and of level RequestResponse that nobody wants.
func BenchmarkRead(b *testing.B) {
	body := `"requestObject":{"status":{"conditions":[` + strings.Repeat(`{"type":"Ready","status":"True","reason":"KubeletReady"},`, 40) + `{}]}},`
	for name, more := range map[string]string{"Metadata": "", "Request": body} {
		line := `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"5b1e7a52-0c0f-4c55-9d0a-2a30b7a3c5a4",` +
			`"stage":"ResponseComplete","requestURI":"/api/v1/namespaces/default/pods/web-0","verb":"get","user":{"username":` +
			`"system:serviceaccount:default:web","uid":"7c2e","groups":["system:serviceaccounts","system:authenticated"]},` +
			`"sourceIPs":["10.0.0.1"],"userAgent":"web/v1 (linux/amd64) kubernetes/0","objectRef":{"resource":"pods","namespace":"default",` +
			`"name":"web-0","apiVersion":"v1"},"responseStatus":{"metadata":{},"code":200},` + more +
			`"requestReceivedTimestamp":"2026-11-20T08:00:00.000001Z","stageTimestamp":"2026-11-20T08:00:00.010000Z","annotations":` +
			`{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"RBAC: allowed by RoleBinding \"web\""}}` + "\n"
		in := strings.Repeat(line, (16<<20)/len(line))
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			for b.Loop() {
				log := auditlog.NewLog(auditlog.Auto)
				log.Want = func(e *auditlog.Event) bool { return strings.HasPrefix(e.Client().Username, "system:node:") }
				if err := log.Read(strings.NewReader(in), func(*auditlog.Event) error { return errors.New("wanted") }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
