// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package certificates

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"noderestriction.plus/internal/program"
)

const (
	// commonName is the CA's.
	commonName = program.Name + "-ca"
	// caKey is the key of a Secret under which clients look for the CA certificate. It equals [corev1.TLSCertKey].
	caKey = "ca.crt"

	// caLifetime is how long a CA is valid. It is rotated after two thirds of that.
	caLifetime = 365 * 24 * time.Hour

	// leafLifetime is how long a certificate is valid. It is renewed after two thirds of that, which leaves ten days in
	// which renewal may fail.
	leafLifetime = 30 * 24 * time.Hour

	// minCA is how long a CA must still be valid to renew certificates. What it signs after that is valid for too short a
	// time to be worth it.
	minCA = 24 * time.Hour
)

// ca is a CA with its key.
type ca struct {
	cert *x509.Certificate
	key  crypto.PrivateKey
}

// leaf is a certificate of ours with the CA that signed it.
type leaf struct {
	*tls.Certificate
	ca *x509.Certificate
}

// newCA makes a CA that is valid from now on. It is not backdated: its age is how long API servers may have known it.
func newCA(now time.Time) (*ca, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: commonName},
		NotBefore:             now,
		NotAfter:              now.Add(caLifetime),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageCertSign,
	}
	cert, err := sign(template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &ca{cert: cert, key: key}, nil
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P384(), rand.Reader) }

func sign(template, parent *x509.Certificate, public, key any) (*x509.Certificate, error) {
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(raw)
}

// readCA reads the CA in a Secret. It is an error if the Secret has none that can sign.
func readCA(secret *corev1.Secret, now time.Time) (*ca, error) {
	pair, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	if err != nil {
		return nil, fmt.Errorf("no certificate with its key: %w", err)
	}
	if !pair.Leaf.IsCA {
		return nil, errors.New("the certificate is not a CA")
	}
	if !now.Before(pair.Leaf.NotAfter) {
		return nil, errors.New("the CA has expired")
	}
	return &ca{cert: pair.Leaf, key: pair.PrivateKey}, nil
}

// data is the CA as a Secret has it.
func (c *ca) data() (map[string][]byte, error) {
	key, err := x509.MarshalPKCS8PrivateKey(c.key)
	if err != nil {
		return nil, err
	}
	cert := bundle{c.cert}.encode()
	return map[string][]byte{
		corev1.TLSCertKey:       cert,
		corev1.TLSPrivateKeyKey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
		caKey:                   cert,
	}, nil
}

// issue returns a new certificate for the names. It starts [clockSkew] ago, and never outlives the CA: an API server whose clock
// is behind must accept it.
func (c *ca) issue(dnsNames []string, now time.Time) (*leaf, error) {
	if !now.Before(c.cert.NotAfter) {
		return nil, fmt.Errorf("the CA expired at %s", c.cert.NotAfter.UTC().Format(time.RFC3339))
	}
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		DNSNames:              dnsNames,
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(leafLifetime),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if template.NotBefore.Before(c.cert.NotBefore) {
		template.NotBefore = c.cert.NotBefore
	}
	if template.NotAfter.After(c.cert.NotAfter) {
		template.NotAfter = c.cert.NotAfter
	}
	cert, err := sign(template, c.cert, key.Public(), c.key)
	if err != nil {
		return nil, err
	}
	return &leaf{&tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}, c.cert}, nil
}

// replaces reports whether this CA should issue a certificate in place of one, which may be nil. A first certificate is better
// than none; a later one is not worth it if the CA is about to expire.
func (c *ca) replaces(newest *leaf, now time.Time) bool {
	if newest == nil {
		return true
	}
	if c.cert.NotAfter.Sub(now) < minCA {
		return false
	}
	return !newest.ca.Equal(c.cert) || !now.Before(renewal(newest.Leaf))
}

// renewal is when two thirds of a certificate's lifetime are over.
func renewal(cert *x509.Certificate) time.Time {
	return cert.NotAfter.Add(-cert.NotAfter.Sub(cert.NotBefore) / 3)
}
