// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package webhooks answers the API server: what kubelets write is judged, policies are validated.
package webhooks

import "net/http"

// The paths of the two webhooks, as they stand in the webhook configuration.
const (
	admitPath    = "/admit"
	policiesPath = "/policies"
)

// Routes returns the handler of the whole listener: admit answers for what kubelets write, policies for policies.
func Routes(admit, policies http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(admitPath, admit)
	mux.Handle(policiesPath, policies)
	return mux
}
