// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package auditlog_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"noderestriction.plus/internal/auditlog"
)

// logOf is an input with an event for each minute.
func logOf(name string, minutes ...int) auditlog.Input {
	var b strings.Builder
	for _, minute := range minutes {
		fmt.Fprintf(&b, `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"%s-%d","stage":"ResponseComplete",`+
			`"verb":"get","user":{"username":"a"},"stageTimestamp":"2026-11-20T%02d:%02d:00Z"}`+"\n", name, minute, minute/60, minute%60)
	}
	return auditlog.Input{Name: name, Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(b.String())), nil }}
}

func TestInputsAreMergedByTime(t *testing.T) {
	t.Parallel()
	var got []string
	log := auditlog.NewLog(auditlog.Auto)
	inputs := []auditlog.Input{logOf("late", 100, 101), logOf("a", 1, 3, 5, 90), logOf("empty"), logOf("b", 2, 4, 102)}
	if err := log.ReadMerged(inputs, func(e *auditlog.Event) error {
		got = append(got, e.AuditID)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	want := []string{"a-1", "b-2", "a-3", "b-4", "a-5", "a-90", "late-100", "late-101", "b-102"}
	if !slices.Equal(got, want) || log.Events != len(want) {
		t.Errorf("got %q of %d events, want %q", got, log.Events, want)
	}
}

func TestAnErrorOfAMergedInputNamesIt(t *testing.T) {
	t.Parallel()
	bad := auditlog.Input{Name: "bad.log", Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("no JSON\n")), nil }}
	err := auditlog.NewLog(auditlog.Auto).ReadMerged([]auditlog.Input{logOf("a", 1), bad}, func(*auditlog.Event) error { return nil })
	if err == nil || !strings.HasPrefix(err.Error(), "bad.log: no event can be read: line 1") {
		t.Errorf("got %v", err)
	}
	stop := errors.New("enough")
	for _, inputs := range [][]auditlog.Input{{logOf("a", 1, 2)}, {logOf("a", 1, 2), logOf("b", 1, 2)}} {
		if err := auditlog.NewLog(auditlog.Auto).ReadMerged(inputs, func(*auditlog.Event) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("got %v, want the error of the function", err)
		}
	}
}

func TestWhatIsLeftOfACutEventIsKept(t *testing.T) {
	t.Parallel()
	const head = `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"a","stage":"ResponseComplete",` +
		`"requestURI":"/x","verb":"patch","user":{"username":"u"},"objectRef":{"resource":"nodes","name":"n"},"responseStatus":{"code":200}`
	for _, test := range []struct {
		name, line  string
		kept        bool
		level, body string
	}{
		{"the answer is cut", head + `,"requestObject":{"a":1},"responseObject":{"b":`, true, "Request", `{"a":1}`},
		{"the body is cut", head + `,"requestObject":{"a":`, true, "Metadata", ""},
		{"a log service says that it has cut", head + `,"requestObject":{"a":1},"responseObj[Truncated...]`, true, "Request", `{"a":1}`},
		{"the user is cut", head[:strings.Index(head, `"user"`)+10], false, "", ""},
		{"an event that is not cut, but no JSON", head + `,}`, false, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var got []*auditlog.Event
			log := auditlog.NewLog(auditlog.Auto)
			log.KeepCut = true
			whole := logOf("whole", 1)
			f, _ := whole.Open()
			input := io.MultiReader(f, strings.NewReader(test.line+"\n"))
			if err := log.Read(input, func(e *auditlog.Event) error {
				if e.AuditID == "a" {
					got = append(got, e)
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			switch {
			case (len(got) == 1) != test.kept || log.Unreadable != 1:
				t.Errorf("%d events, %d entries cannot be read", len(got), log.Unreadable)
			case test.kept && (!got[0].Cut || got[0].Level != test.level || string(got[0].RequestObject) != test.body || got[0].ObjectRef.Name != "n"):
				t.Errorf("got %+v", got[0])
			}
		})
	}
}
