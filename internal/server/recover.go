// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"net/http"
	"runtime/debug"

	"github.com/go-logr/logr"
)

// recovered answers 500 if the handler panics, so that the API server applies the failurePolicy. Handlers that have a better
// answer recover themselves.
func recovered(next http.Handler, log logr.Logger, m *metrics) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			if cause == http.ErrAbortHandler { //nolint:errorlint // It is the value of a panic, and net/http compares it like this.
				panic(cause)
			}
			m.panics.Inc()
			log.Error(fmt.Errorf("panic: %v", cause), "A request handler panicked", "stack", string(debug.Stack()))
			http.Error(w, "internal error", http.StatusInternalServerError)
		}()
		next.ServeHTTP(w, r)
	})
}
