// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package hostile_test

import (
	"testing"
	"time"

	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/internal/record"
)

// testCertificates shows that if client certificates are required, only the API server can create records.
func (d *listener) testCertificates(t *testing.T) {
	d.checkEnforced(t, record.ClientAuthMTLS)
	foreign, err := controlplane.NewCA("foreign")
	suite.Check(t, err)
	before, err := d.product.Records.Len()
	suite.Check(t, err)
	for _, test := range []struct {
		name  string
		ca    *controlplane.CA // nil: no certificate
		user  string
		group string
	}{
		{name: "no certificate"},
		{name: "a certificate of a foreign CA", ca: foreign, user: apiServerName},
		{name: "a kubelet's certificate", ca: d.ControlPlane.CA, user: "system:node:" + node, group: "system:nodes"},
		{name: "an administrator's certificate", ca: d.ControlPlane.CA, user: "admin", group: "system:masters"},
		{name: "the name as a group", ca: d.clientCA, user: "somebody", group: apiServerName},
		{name: "a name with the name as its prefix", ca: d.clientCA, user: apiServerName + "-2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var certificate controlplane.Certificate
			if test.ca != nil {
				var err error
				certificate, err = test.ca.Client(test.user, test.group)
				suite.Check(t, err)
			}
			s := d.sender(t, certificate)
			for _, path := range []string{"/admit", "/policies", "/", "/metrics"} {
				answer, err := s.post(suite.Within(t, time.Minute), path, []byte(forgery("u", node, "")))
				if err == nil {
					t.Errorf("%s was answered: %s", path, answer)
				}
			}
		})
	}
	after, err := d.product.Records.Len()
	suite.Check(t, err)
	if after != before {
		t.Errorf("unauthorized clients created %d records", after-before)
	}
	d.checkEnforced(t, record.ClientAuthMTLS)
}
