// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"

	"github.com/go-logr/logr"
)

// maxStack is how much of a stack is logged, in bytes.
const maxStack = 8 << 10

// recovered answers 500 where the handler panics, so that the API server applies the failure policy. Handlers that
// can say more recover by themselves.
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
			text, stack := fmt.Sprint("panic: ", cause), debug.Stack()
			log.Error(errors.New(text[:min(len(text), maxConnectionLog)]), "a request handler panicked",
				"stack", string(stack[:min(len(stack), maxStack)]))
			http.Error(w, "internal error", http.StatusInternalServerError)
		}()
		next.ServeHTTP(w, r)
	})
}
