// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"log"

	"github.com/go-logr/logr"
)

// connectionLog returns the error log of an http.Server, which reports failed handshakes and clients that disconnect. All lines are
// counted. Anyone who can connect can cause them; their rate and size are bounded by the owner of the log.
func connectionLog(to logr.Logger, m *metrics) *log.Logger {
	return log.New(&connectionLogWriter{log: to, metrics: m}, "", 0)
}

type connectionLogWriter struct {
	log     logr.Logger
	metrics *metrics
}

// Write logs one line.
func (w *connectionLogWriter) Write(line []byte) (int, error) {
	w.metrics.connectionErrors.Inc()
	w.log.Info("Connection error", "error", string(bytes.TrimSpace(line)))
	return len(line), nil
}
