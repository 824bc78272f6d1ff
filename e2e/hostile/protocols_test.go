// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package hostile_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/internal/record"
)

// testProtocols sends anything but HTTP/1.1 over TLS 1.3, before and after the handshake, with the API server's certificate.
func (d *listener) testProtocols(t *testing.T) {
	certificate, err := d.clientCA.Client(apiServerName)
	suite.Check(t, err)
	s := d.sender(t, certificate)
	plain := func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", s.host())
	}
	secure := func(ctx context.Context) (net.Conn, error) { return s.dial(ctx) }
	post := "POST /admit HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
	for _, test := range []struct {
		name string
		dial func(context.Context) (net.Conn, error)
		sent string
		want string // prefix of the answer, if there is one
	}{
		{"plain HTTP", plain, post, "HTTP/1.0 400 "},
		{"no protocol", plain, "\x00\x01\x02\x03 bytes", ""},
		{"a TLS record that is too long", plain, "\x16\x03\x01\xff\xff" + strings.Repeat("x", 1<<16), ""},
		{"nothing in TLS", secure, "", ""},
		{"no protocol in TLS", secure, "\x00\x01\x02\x03 bytes\r\n\r\n", "HTTP/1.1 400 "},
		{"the preface of HTTP/2", secure, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1 400 "},
		{"HTTP/3", secure, strings.Replace(post, "HTTP/1.1", "HTTP/3.0", 1), "HTTP/1.1 505 "},
		{
			"two lengths", secure,
			strings.Replace(post, "Content-Length: 2", "Content-Length: 2\r\nContent-Length: 3", 1), "HTTP/1.1 400 ",
		},
		{
			"a negative length", secure, strings.Replace(post, "Length: 2", "Length: -2", 1), "HTTP/1.1 400 ",
		},
		{
			"an unknown coding", secure,
			strings.Replace(post, "Content-Length: 2", "Transfer-Encoding: x", 1), "HTTP/1.1 501 ",
		},
		{
			"headers that are too large", secure,
			strings.Replace(post, "Host: a", "Host: a\r\nA: "+strings.Repeat("x", 200<<10), 1), "HTTP/1.1 431 ",
		},
		{"an upgrade", secure, strings.Replace(post, "Host: a", "Host: a\r\nConnection: Upgrade\r\nUpgrade: h2c", 1), "HTTP/1.1 400 "},
	} {
		t.Run(test.name, func(t *testing.T) {
			conn, err := test.dial(suite.Within(t, time.Minute))
			suite.Check(t, err)
			defer conn.Close()
			suite.Check(t, conn.SetDeadline(time.Now().Add(time.Minute)))
			// The product may close the connection before everything is sent.
			_, _ = io.WriteString(conn, test.sent)
			answer := make([]byte, 4096)
			n, err := io.ReadAtLeast(conn, answer, len(test.want))
			if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
				t.Error("the connection stays open")
			}
			if got := string(answer[:n]); !strings.HasPrefix(got, test.want) || strings.Contains(got, " 200 ") {
				t.Errorf("want %q, got %.200q", test.want, got)
			}
		})
	}
	t.Run("TLS 1.2", func(t *testing.T) {
		config := s.tls.Clone()
		config.MaxVersion = tls.VersionTLS12
		conn, err := (&tls.Dialer{Config: config}).DialContext(suite.Within(t, time.Minute), "tcp", s.host())
		if err == nil {
			_ = conn.Close()
			t.Error("TLS 1.2 is accepted")
		}
	})
	d.checkEnforced(t, record.ClientAuthMTLS)
}
