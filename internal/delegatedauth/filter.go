// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package delegatedauth has the API server say who may read the metrics: a TokenReview who asks, a SubjectAccessReview whether
// that user may.
//
// It does what controller-runtime's filters do, without the packages of k8s.io/apiserver that they need: gRPC, OpenTelemetry and
// CEL are two hundred packages and more of a replica's memory than all policies. And it differs where anybody who can connect could
// fill its memory or keep the API server busy.
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

// maxTokenBytes bounds what is sent to the API server. Tokens of service accounts have about 1 KiB.
const maxTokenBytes = 16 << 10

// Filter lets a request pass whose bearer token the API server knows and whose user may use the method, in small letters, on the
// path: get on the nonResourceURL /metrics. Others get 401 or 403, methods but GET and HEAD 405, and while the API server does not
// answer all get 503 of whom it has said nothing within the last minute. An address that sends more unknown tokens at a time than
// any scraper gets 429. It needs to be allowed to create tokenreviews and subjectaccessreviews. The error is one of the
// configuration.
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

// filter is a handler in front of another one.
type filter struct {
	known  *answers
	next   http.Handler
	log    logr.Logger
	faults *faultlog.Log
}

var _ http.Handler = &filter{}

// ServeHTTP implements http.Handler. The reason is for the log alone.
func (f *filter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := f.answer(r)
	switch a.status {
	case http.StatusOK:
		r.Header.Del("Authorization") // nobody needs it any more
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

// answer is what a request gets.
func (f *filter) answer(r *http.Request) answer {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return answer{http.StatusMethodNotAllowed, "reading is all that can be done"}
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

// bearerToken is the token of the only Authorization header. Of what has spaces or control characters in it the API server could
// see another part than we do: a token of a tab is none to it, which makes its sender system:anonymous.
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
