// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package deadline says by when a request must be answered.
package deadline

import (
	"net/http"
	"strings"
	"time"
)

const (
	// absent is the timeout of a request that names none. It is the API server's default for webhooks.
	absent = 10 * time.Second
	// shortest and longest are the API server's bounds for the timeout of a webhook. The timeout in the URL is rounded up to whole
	// seconds.
	shortest = time.Second
	longest  = 30 * time.Second
)

// Deadline is when the answer to a request is due. The zero Deadline is in the past.
type Deadline struct {
	arrived time.Time
	timeout time.Duration
}

// Of returns the deadline of a request that arrived at a time: the API server appends its timeout to the URL, as in
// ?timeout=2s. A timeout that is missing or invalid is 10 s, and all are from 1 s to 30 s.
func Of(r *http.Request, arrived time.Time) Deadline {
	timeout, err := time.ParseDuration(parameter(r.URL.RawQuery, "timeout"))
	if err != nil || timeout <= 0 {
		timeout = absent
	}
	return Deadline{arrived, min(max(timeout, shortest), longest)}
}

// parameter returns the first value of a name in a query. It does not unescape.
func parameter(query, name string) string {
	for pair := range strings.SplitSeq(query, "&") {
		if key, value, _ := strings.Cut(pair, "="); key == name {
			return value
		}
	}
	return ""
}

// Arrived returns when the request arrived.
func (d Deadline) Arrived() time.Time { return d.arrived }

// Due returns when the sender stops waiting.
func (d Deadline) Due() time.Time { return d.arrived.Add(d.timeout) }

// Last returns when evaluation must end so that the answer arrives in time: after 80 % of the timeout.
func (d Deadline) Last() time.Time { return d.arrived.Add(d.timeout / 5 * 4) }

// Late reports whether the sender has stopped waiting.
func (d Deadline) Late() bool { return !time.Now().Before(d.Due()) }
