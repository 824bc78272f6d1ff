// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package certificates

import (
	"crypto/x509"
	"errors"
	"time"
)

const (
	// settle is how long a CA must have been in the bundle before a certificate from it is served. API servers learn about a
	// change by a watch, so all of them know within a second or two.
	settle = 10 * time.Second

	// clockSkew is how far the clock of an API server may be behind. Certificates start this long ago. A CA does not, so it
	// is not used before it has this age.
	clockSkew = time.Hour

	// lastMoment is how long before the old certificate expires a new one is served regardless of what is in the bundle.
	lastMoment = 10 * time.Minute
)

// gate decides when a new certificate replaces the one that is served. A certificate from the same CA does so
// immediately. One from another CA waits until the API servers trust that CA, and until the CA is valid by a clock that is
// behind.
type gate struct {
	served *leaf // nil: none yet

	ca    *x509.Certificate // of the newest certificate
	since time.Time         // since when ca has been in the bundle without interruption; zero: it is not there
}

// offer gives the gate the newest certificate, which may be nil, and whether the bundles have its CA. It must be called at
// short intervals.
func (g *gate) offer(newest *leaf, trusted bool, now time.Time) {
	if newest == nil {
		return
	}
	if g.ca == nil || !g.ca.Equal(newest.ca) {
		g.ca, g.since = newest.ca, time.Time{}
	}
	switch {
	case !trusted:
		g.since = time.Time{}
	case g.since.IsZero():
		g.since = now
	}
	if g.served == nil || g.served.ca.Equal(newest.ca) || g.opens(now) {
		g.served = newest
	}
}

// opens reports whether a certificate from another CA may be served now.
func (g *gate) opens(now time.Time) bool {
	left := g.served.Leaf.NotAfter.Sub(now)
	settled := !g.since.IsZero() && now.Sub(g.since) >= settle
	aged := now.Sub(g.ca.NotBefore) >= clockSkew || left < clockSkew
	return settled && aged || left < lastMoment
}

// check returns why API servers may refuse what is served, given whether the bundles have its CA.
func (g *gate) check(trusted bool, now time.Time) error {
	switch {
	case !trusted:
		return errors.New("the webhook configuration does not have the CA of the serving certificate")
	case !g.served.ca.Equal(g.ca):
		return nil // API servers accepted it before the newest came
	case now.Sub(g.since) < settle && now.Sub(g.ca.NotBefore) < settle:
		return errors.New("API servers may not know the CA of the serving certificate yet, because it is new")
	}
	return nil
}
