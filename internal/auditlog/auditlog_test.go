// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package auditlog_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"noderestriction.plus/internal/auditlog"
)

// read reads a whole log, and returns a line for each event.
func read(t *testing.T, log string) (events []string, r *auditlog.Reader) {
	t.Helper()
	r, err := auditlog.NewReader(strings.NewReader(log))
	if err != nil {
		t.Fatal(err)
	}
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return events, r
		}
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, fmt.Sprintf("%s %s %s %s %s/%s %s %q %d", e.User, e.Verb, e.Path, e.Resource, e.Namespace, e.Name,
			e.FieldSelector, e.Decision+e.Reason, e.Code))
	}
}

func event(id, stage string) string {
	return fmt.Sprintf(`{"kind":"Event","auditID":%q,"stage":%q,"verb":"watch","requestURI":"/api/v1/pods?watch=1","user":{"username":"a"}}`, id, stage)
}

func TestReader(t *testing.T) {
	const short = "a watch /api/v1/pods  /  \"\" 0"
	for name, test := range map[string]struct {
		log        string
		want       []string
		unreadable int
	}{
		"nothing": {"", nil, 0},
		"all of an event, whose query is not well-formed": {
			`{"stage":"ResponseComplete","verb":"list","requestURI":"/api/v1/pods?fieldSelector=spec.nodeName%3Da&x=%zz","user":{"username":"b"},` +
				`"impersonatedUser":{"username":"a"},"objectRef":{"resource":"pods","namespace":"n","name":"o"},"responseStatus":{"code":403},` +
				`"annotations":{"authorization.k8s.io/decision":"forbid","authorization.k8s.io/reason":"no"},"responseObject":{"a":[{}]}}`,
			[]string{`a list /api/v1/pods pods n/o  "forbidno" 403`}, 0,
		},
		"a query": {
			`{"stage":"ResponseComplete","verb":"list","requestURI":"/api/v1/pods?fieldSelector=spec.nodeName%3Da","user":{"username":"a"}}`,
			[]string{`a list /api/v1/pods  / spec.nodeName=a "" 0`}, 0,
		},
		"one request with several stages": {
			strings.Join([]string{event("1", "RequestReceived"), event("1", "ResponseStarted"), event("1", "ResponseComplete")}, "\n"), []string{short}, 0,
		},
		"a request whose end is in the log alone": {event("1", "ResponseComplete"), []string{short}, 0},
		"two requests":         {event("1", "ResponseStarted") + "\n\n" + event("2", "Panic") + "\n", []string{short, short}, 0},
		"text before an event": {"Nov 24 kube-apiserver[1]: " + event("1", "Panic"), []string{short}, 0},
		"a list": {
			`{"kind":"EventList","items":[` + event("1", "Panic") + `,{"kind":"EventList","items":[]},` + event("2", "Panic") + `]}`, []string{short, short}, 1,
		},
		"other lines": {"text\n{\"kind\":\"Pod\"}\n{\n[]\n" + event("1", "Panic") + "\n{\"kind\":\"Event\"", []string{short}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			events, r := read(t, test.log)
			if strings.Join(events, "\n") != strings.Join(test.want, "\n") || r.Unreadable != test.unreadable {
				t.Errorf("got %q, %d unreadable; want %q, %d", events, r.Unreadable, test.want, test.unreadable)
			}
		})
	}
}

func TestALineThatIsTooLongIsSkipped(t *testing.T) {
	long := strings.TrimSuffix(event("1", "Panic"), "}") + `,"x":"` + strings.Repeat("x", auditlog.MaxLine) + `"}`
	events, r := read(t, long+"\n"+event("2", "Panic"))
	if len(events) != 1 || r.Unreadable != 1 || r.Lines != 2 {
		t.Errorf("got %q, %d of %d unreadable", events, r.Unreadable, r.Lines)
	}
}

// FuzzReader checks that a log of any bytes is read to its end.
func FuzzReader(f *testing.F) {
	f.Add(event("1", "Panic"))
	f.Fuzz(func(t *testing.T, log string) {
		r, err := auditlog.NewReader(strings.NewReader(log))
		if err != nil {
			t.Skip()
		}
		for {
			if _, err := r.Next(); err != nil {
				break
			}
		}
		if r.Unreadable > r.Lines {
			t.Errorf("%d of %d lines", r.Unreadable, r.Lines)
		}
	})
}
