// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package webhooks_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
)

// FuzzHandler looks for bodies that panic, that are answered without their uid, or that deny without a record.
func FuzzHandler(f *testing.F) {
	f.Add(attack("u-1", "worker-1"))
	f.Add(attack("u-1", ""))
	f.Add(review("u-1", "admin", "worker-1", `{}`))
	f.Add(review("u-1", "system:node:worker-1", "worker-1", `{"a":1,"a":2}`))
	f.Add(strings.Replace(attack("u-1", "worker-1"), "UPDATE", "CREATE", 1))
	f.Add(strings.Replace(attack("u-1", "worker-1"), "UPDATE", "DELETE", 1))
	f.Add(`{"kind":"Node"}`)
	r := newRig(f, options{}) // one for all: to make one takes longer than a request
	f.Fuzz(func(t *testing.T, body string) {
		r.denials.reset()
		response, got := r.post(t, body, nil)
		if n := r.metric(t, "panics_total"); n != 0 {
			t.Fatalf("a panic: %s", r.log.buf.String())
		}
		records := r.denials.records(t)
		if got == nil {
			if response.StatusCode != http.StatusBadRequest || len(records) != 0 {
				t.Fatalf("got status %d, %d records", response.StatusCode, len(records))
			}
			return
		}
		var sent struct {
			Request struct {
				UID string `json:"uid"`
			} `json:"request"`
		}
		if err := json.Unmarshal([]byte(body), &sent); err == nil && string(got.Response.UID) != sent.Request.UID {
			t.Fatalf("got uid %q, want %q", got.Response.UID, sent.Request.UID)
		}
		if got.Response.Allowed == (len(records) == 1) {
			t.Fatalf("got allowed %v with %d records", got.Response.Allowed, len(records))
		}
	})
}
