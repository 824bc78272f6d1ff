// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package certificates

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"time"
)

const (
	// settle is how long an authority must have been in the bundle before a certificate of it is served. API servers
	// learn of a change by a watch, so all of them have within a second or two.
	settle = 10 * time.Second

	// clockSkew is by how much the clock of an API server may be behind. Certificates begin this long ago; an
	// authority, which does not, is not used before it has this age.
	clockSkew = time.Hour

	// lastMoment is how long before the old certificate expires a new one is served whatever is in the bundle.
	lastMoment = 10 * time.Minute
)

// leaf is a certificate of ours with the authority that signed it.
type leaf struct {
	*tls.Certificate
	authority *x509.Certificate
}

// gate decides when a new certificate takes the place of the one that is served. A certificate of the same authority
// does so at once. One of another authority waits until the API servers trust that, and until it counts as valid by a
// clock that is behind.
type gate struct {
	served *leaf // nil: none yet

	authority *x509.Certificate // of the newest certificate
	since     time.Time         // since when it has been seen in the bundle without a break; zero: it is not there
}

// offer tells the gate the newest certificate, nil if there is none, and whether the API server has its authority. It
// is called again and again.
func (g *gate) offer(newest *leaf, trusted bool, now time.Time) {
	if newest == nil {
		return
	}
	if g.authority == nil || !g.authority.Equal(newest.authority) {
		g.authority, g.since = newest.authority, time.Time{}
	}
	switch {
	case !trusted:
		g.since = time.Time{}
	case g.since.IsZero():
		g.since = now
	}
	if g.served == nil || g.served.authority.Equal(newest.authority) || g.opens(now) {
		g.served = newest
	}
}

// opens reports whether the certificate of another authority may be served now.
func (g *gate) opens(now time.Time) bool {
	left := g.served.Leaf.NotAfter.Sub(now)
	settled := !g.since.IsZero() && now.Sub(g.since) >= settle
	aged := now.Sub(g.authority.NotBefore) >= clockSkew || left < clockSkew
	return settled && aged || left < lastMoment
}

// check says why API servers may refuse what is served, given whether the API server has its authority.
func (g *gate) check(trusted bool, now time.Time) error {
	switch {
	case !trusted:
		return errors.New("the webhook configuration does not have the authority of the serving certificate")
	case !g.served.authority.Equal(g.authority):
		return nil // it was good before the newest came
	case now.Sub(g.since) < settle && now.Sub(g.authority.NotBefore) < settle:
		return errors.New("API servers may not know the authority of the serving certificate yet, it is new")
	}
	return nil
}
