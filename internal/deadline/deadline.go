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
	// absent is the timeout of a request that names none, as it is the API server's default for webhooks.
	absent = 10 * time.Second
	// shortest and longest are the bounds that the API server has for the timeout of a webhook. It rounds up what it
	// appends to the URL to whole seconds.
	shortest = time.Second
	longest  = 30 * time.Second
)

// Deadline is when the answer to a request is due. The zero Deadline is long over.
type Deadline struct {
	arrived time.Time
	timeout time.Duration
}

// Of returns the deadline of a request that arrived at a time: the API server appends its timeout to the URL, as in
// ?timeout=2s. One that is not there or is not understood is 10 s, and none is shorter than 1 s or longer than 30 s.
func Of(r *http.Request, arrived time.Time) Deadline {
	timeout, err := time.ParseDuration(parameter(r.URL.RawQuery, "timeout"))
	if err != nil || timeout <= 0 {
		timeout = absent
	}
	return Deadline{arrived, min(max(timeout, shortest), longest)}
}

// parameter returns the first value of a name in a query. It takes it as it stands: what is escaped is not understood.
func parameter(query, name string) string {
	for pair := range strings.SplitSeq(query, "&") {
		if key, value, _ := strings.Cut(pair, "="); key == name {
			return value
		}
	}
	return ""
}

// Arrived is when the request arrived.
func (d Deadline) Arrived() time.Time { return d.arrived }

// Due is when the sender stops waiting.
func (d Deadline) Due() time.Time { return d.arrived.Add(d.timeout) }

// Last is when work that could still be left out must end, so that the answer is there when it is due: when 80 % of the
// time are over.
func (d Deadline) Last() time.Time { return d.arrived.Add(d.timeout / 5 * 4) }

// Late reports whether the sender has stopped waiting.
func (d Deadline) Late() bool { return !time.Now().Before(d.Due()) }
