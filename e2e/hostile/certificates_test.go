// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package hostile_test

import (
	"testing"
	"time"

	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/internal/record"
)

// testCertificates shows that where client certificates are demanded, nobody but the API server leaves a trace.
func (d *listener) testCertificates(t *testing.T) {
	d.checkEnforced(t, record.ClientAuthMTLS)
	foreign, err := controlplane.NewCA("foreign")
	suite.Check(t, err)
	before, err := d.product.Records.Len()
	suite.Check(t, err)
	for _, test := range []struct {
		name      string
		authority *controlplane.CA // nil: no certificate
		user      string
		group     string
	}{
		{name: "no certificate"},
		{name: "a certificate of a foreign authority", authority: foreign, user: apiServerName},
		{name: "a kubelet's own", authority: d.plane.CA, user: "system:node:" + node, group: "system:nodes"},
		{name: "an administrator's", authority: d.plane.CA, user: "admin", group: "system:masters"},
		{name: "the name as group", authority: d.clients, user: "somebody", group: apiServerName},
		{name: "a name that begins like it", authority: d.clients, user: apiServerName + "-2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var certificate controlplane.Certificate
			if test.authority != nil {
				var err error
				certificate, err = test.authority.Client(test.user, test.group)
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
		t.Errorf("who may not ask left %d records", after-before)
	}
	d.checkEnforced(t, record.ClientAuthMTLS)
}
