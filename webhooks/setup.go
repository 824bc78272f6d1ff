// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package webhooks has the two handlers that answer the API server: one evaluates what kubelets write, one validates policies.
package webhooks

import "net/http"

// The paths of the two handlers in the webhook configuration.
const (
	admitPath    = "/admit"
	policiesPath = "/policies"
)

// Routes returns the handler of the listener: admit evaluates what kubelets write, policies validates policies.
func Routes(admit, policies http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(admitPath, admit)
	mux.Handle(policiesPath, policies)
	return mux
}
