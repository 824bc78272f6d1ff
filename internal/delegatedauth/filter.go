// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package delegatedauth authenticates and authorizes clients of the metrics through the API server, by a TokenReview and a
// SubjectAccessReview.
//
// It replaces controller-runtime's filters, for two reasons. Those link k8s.io/apiserver with gRPC, OpenTelemetry and CEL: two
// hundred packages, which take more of a replica's memory than all policies. And anyone who can connect could fill their memory or
// flood the API server with unknown tokens; here both are bounded.
package delegatedauth

import (
	"net/http"
	"strings"

	"github.com/go-logr/logr"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"noderestriction.plus/internal/faultlog"
)

// maxTokenBytes is the maximum length of a token. Tokens of service accounts have about 1 KiB.
const maxTokenBytes = 16 << 10

// Filter returns a filter that passes requests whose bearer token the API server authenticates and whose user may use the method, in
// lower case, on the path: get on the nonResourceURL /metrics. Others get 401 or 403, and methods other than GET and HEAD 405. If
// the API server does not answer, requests without a cached answer get 503; a success is cached for one minute. An address that sends more
// unknown tokens at a time than any scraper gets 429. The client needs permission to create tokenreviews and subjectaccessreviews.
// The error is about the configuration.
func Filter(config *rest.Config, client *http.Client) (metricsserver.Filter, error) {
	authentication, err := authenticationclient.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, err
	}
	authorization, err := authorizationclient.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, err
	}
	server := &apiServer{tokens: authentication.TokenReviews(), access: authorization.SubjectAccessReviews()}
	known := newAnswers(server.ask)
	return func(log logr.Logger, next http.Handler) (http.Handler, error) {
		return &filter{
			known: known, next: next, log: log, faults: faultlog.New(log),
		}, nil
	}, nil
}

// filter is a handler in front of another.
type filter struct {
	known  *answers
	next   http.Handler
	log    logr.Logger
	faults *faultlog.Log
}

var _ http.Handler = &filter{}

// ServeHTTP implements http.Handler. The reason is only logged.
func (f *filter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := f.answer(r)
	switch a.status {
	case http.StatusOK:
		r.Header.Del("Authorization") // next does not need it
		f.next.ServeHTTP(w, r)
		return
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "Bearer")
	case http.StatusTooManyRequests:
		w.Header().Set("Retry-After", "1")
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", "GET, HEAD")
	}
	f.log.V(1).Info("Refused a request", "status", a.status, "reason", a.reason)
	http.Error(w, http.StatusText(a.status), a.status)
}

// answer returns the answer to a request.
func (f *filter) answer(r *http.Request) answer {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return answer{http.StatusMethodNotAllowed, "the method must be GET or HEAD"}
	}
	token, ok := bearerToken(r.Header)
	if !ok {
		return answer{http.StatusUnauthorized, "there is no bearer token"}
	}
	a, err := f.known.to(r.Context(), question{token: token, verb: strings.ToLower(r.Method), path: r.URL.Path},
		addressOf(r.RemoteAddr))
	f.faults.Report("Cannot authenticate or authorize a client through the API server", err)
	if err != nil {
		return answer{http.StatusServiceUnavailable, err.Error()}
	}
	return a
}

// bearerToken returns the token of the only Authorization header. Tokens with spaces or control characters are refused, because the API
// server could parse them differently: for a token that is a tab it authenticates the sender as system:anonymous.
func bearerToken(h http.Header) (string, bool) {
	values := h.Values("Authorization")
	if len(values) != 1 {
		return "", false
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" || len(token) > maxTokenBytes {
		return "", false
	}
	for _, c := range []byte(token) {
		if c <= ' ' || c > '~' {
			return "", false
		}
	}
	return token, true
}
