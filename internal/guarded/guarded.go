// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package guarded connects commands to an API server through a guard, which sees each request before it leaves the program.
package guarded

import (
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"k8s.io/client-go/rest"

	"noderestriction.plus/internal/program"
)

// Connect returns the URL of the API server, whose path has no slash at its end, and a client for it that follows no redirect. The guard
// is given that path and what sends the requests. The command is the second part of the user agent, and timeout bounds one request. The
// client shares its connections with no other client. Connect itself sends nothing.
func Connect(
	config *rest.Config, command string, timeout time.Duration, guard func(base string, next http.RoundTripper) http.RoundTripper,
) (*url.URL, *http.Client, error) {
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, nil, err
	}
	base.Path = strings.TrimRight(base.Path, "/")
	guarded := rest.CopyConfig(config)
	guarded.UserAgent = program.Plugin + "-" + command + "/" + program.Version()
	guarded.Timeout = timeout
	if guarded.Dial == nil {
		// With a dialer of its own, client-go gives the client a transport of its own.
		guarded.Dial = (&net.Dialer{Timeout: timeout}).DialContext
	}
	guarded.Wrap(func(next http.RoundTripper) http.RoundTripper { return guard(base.Path, next) })
	c, err := rest.HTTPClientFor(guarded)
	if err != nil {
		return nil, nil, err
	}
	return base, &http.Client{
		Transport: c.Transport, Timeout: timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}
