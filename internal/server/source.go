// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// minRemaining is how long a certificate must still be valid for the server to be ready.
const minRemaining = 5 * time.Minute

// CertificateSource provides the server's certificate and keeps it valid. Its methods are safe for concurrent use.
type CertificateSource interface {
	// GetCertificate returns the certificate to serve, its leaf parsed. It has the signature that [tls.Config] wants.
	GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Start keeps the certificate valid until ctx ends. It is called once. A transient failure must not be returned: any error
	// stops the server. The last good certificate stays in use instead.
	Start(ctx context.Context) error
	// Check is a readiness check: it fails if there is no certificate, or if it is not valid now and for five minutes more.
	Check(*http.Request) error
	// Expiry returns when the first certificate of the chain expires; zero without a certificate.
	Expiry() time.Time
	// RenewalErrors returns how many attempts to renew the certificate have failed.
	RenewalErrors() uint64
}

var _ CertificateSource = &Certificates{}

// ChainExpiry returns when the first certificate of a chain expires. It is zero if the chain cannot be parsed or is empty.
func ChainExpiry(chain *tls.Certificate) time.Time {
	var expiry time.Time
	for _, raw := range chain.Certificate {
		cert, err := x509.ParseCertificate(raw)
		if err != nil {
			return time.Time{}
		}
		if expiry.IsZero() || cert.NotAfter.Before(expiry) {
			expiry = cert.NotAfter
		}
	}
	return expiry
}

// CheckChain returns an error if the chain should not be served at a time: it is not valid yet, or not for five minutes more.
func CheckChain(chain *tls.Certificate, now time.Time) error {
	if chain.Leaf == nil {
		return errors.New("the serving certificate cannot be read")
	}
	if now.Before(chain.Leaf.NotBefore) {
		return fmt.Errorf("the serving certificate is not valid before %s", chain.Leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	if expiry := ChainExpiry(chain); now.Add(minRemaining).After(expiry) {
		return fmt.Errorf("the serving certificate expires at %s", expiry.UTC().Format(time.RFC3339))
	}
	return nil
}
