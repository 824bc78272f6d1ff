// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"log"
	"strconv"

	"github.com/go-logr/logr"
	"golang.org/x/time/rate"
)

// maxConnectionLog is how much of a line about a connection is logged, in bytes; peers choose a part of the text.
const maxConnectionLog = 256

// connectionLog is the error log of a http.Server, which writes of handshakes that fail and clients that break off.
// Anybody who can connect can cause such lines, so all are counted and few are written.
func connectionLog(to logr.Logger, m *metrics) *log.Logger {
	return log.New(&connectionLogWriter{log: to, metrics: m, limit: rate.NewLimiter(1, 10)}, "", 0)
}

type connectionLogWriter struct {
	log     logr.Logger
	metrics *metrics
	limit   *rate.Limiter
}

// printable escapes what does not print.
func printable(text []byte) string {
	quoted := strconv.Quote(string(text))
	return quoted[1 : len(quoted)-1]
}

// Write logs one line.
func (w *connectionLogWriter) Write(line []byte) (int, error) {
	w.metrics.connectionErrors.Inc()
	if w.limit.Allow() {
		text := bytes.TrimSpace(line)
		w.log.Info("connection error", "error", printable(text[:min(len(text), maxConnectionLog)]))
	}
	return len(line), nil
}
