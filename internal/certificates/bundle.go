// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package certificates

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"time"
)

// maxBundle is the maximum number of CAs in a bundle. There are two from the rotation of a CA until the old one expires, and
// more only if it is rotated again and again.
const maxBundle = 4

// bundle is the CAs that the API server trusts when it calls a webhook.
type bundle []*x509.Certificate

// parseBundle reads a caBundle. Like the API server it skips what is not a certificate.
func parseBundle(data []byte) bundle {
	var b bundle
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return b
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
			b = append(b, cert)
		}
	}
}

func (b bundle) encode() []byte {
	var data bytes.Buffer
	for _, cert := range b {
		data.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
	}
	return data.Bytes()
}

func (b bundle) has(ca *x509.Certificate) bool {
	return slices.ContainsFunc(b, ca.Equal)
}

func (b bundle) equal(other bundle) bool {
	return slices.EqualFunc(b, other, func(x, y *x509.Certificate) bool { return x.Equal(y) })
}

// merge adds the CAs whose certificates are served or are about to be. All others stay until they expire, because another
// replica may serve a certificate from them. If there are too many, the oldest are removed.
func (b bundle) merge(needed bundle, now time.Time) bundle {
	var merged bundle
	for _, cert := range slices.Concat(b, needed) {
		if !merged.has(cert) && now.Before(cert.NotAfter) {
			merged = append(merged, cert)
		}
	}
	byAge := slices.SortedStableFunc(slices.Values(merged), func(x, y *x509.Certificate) int {
		return cmp.Or(x.NotBefore.Compare(y.NotBefore), bytes.Compare(x.Raw, y.Raw))
	})
	for _, oldest := range byAge {
		if len(merged) > maxBundle && !needed.has(oldest) {
			merged = slices.DeleteFunc(merged, oldest.Equal)
		}
	}
	return merged
}
