// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package doctor_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/internal/doctor"
	"noderestriction.plus/internal/doctor/checks"
)

// record writes the snapshot of the stock cluster, without what differs from run to run.
func (c *cluster) record(t *testing.T) {
	config, err := c.ControlPlane.Admin()
	suite.Check(t, err)
	s, err := doctor.Read(t.Context(), config, &doctor.Options{Node: node, Probe: true, Secrets: true, QPS: 1000})
	suite.Check(t, err)
	s.Now = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	for i := range s.ClusterRoles.Value {
		strip(&s.ClusterRoles.Value[i].ObjectMeta)
	}
	for i := range s.ClusterRoleBindings.Value {
		strip(&s.ClusterRoleBindings.Value[i].ObjectMeta)
	}
	for i := range s.Roles.Value {
		strip(&s.Roles.Value[i].ObjectMeta)
	}
	for i := range s.RoleBindings.Value {
		strip(&s.RoleBindings.Value[i].ObjectMeta)
	}
	for i := range s.Nodes.Value {
		strip(&s.Nodes.Value[i].ObjectMeta)
	}
	for i := range s.DaemonSets.Value {
		strip(&s.DaemonSets.Value[i].ObjectMeta)
	}
	for i := range s.Validating.Value {
		strip(&s.Validating.Value[i].ObjectMeta)
	}
	ca := lastingCA(t)
	for i := range s.Validating.Value {
		for n := range s.Validating.Value[i].Webhooks {
			s.Validating.Value[i].Webhooks[n].ClientConfig.CABundle = ca
		}
	}
	for i := range s.Floor.Value {
		strip(&s.Floor.Value[i].ObjectMeta)
	}
	for i := range s.Bindings.Value {
		strip(&s.Bindings.Value[i].ObjectMeta)
	}
	for i := range s.Policies.Value {
		strip(&s.Policies.Value[i].ObjectMeta)
	}
	// Of what is refused, checks read only these.
	s.Answers.Value = slices.DeleteFunc(s.Answers.Value, func(a checks.Answer) bool {
		return !a.Allowed && a.Request.Resource != "nothings" && (a.Request.Resource != "secrets" || a.Request.Verb != "get")
	})
	data, err := yaml.Marshal(s)
	suite.Check(t, err)
	suite.Check(t, os.WriteFile(recorded, append([]byte("# Recorded by go test ./doctor -update in e2e; do not edit.\n"), data...), 0o644))
}

// lastingCA returns a CA that does not end before the tests do.
func lastingCA(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	suite.Check(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "recorded"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	suite.Check(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
}

func strip(m *metav1.ObjectMeta) {
	m.ManagedFields, m.UID, m.ResourceVersion, m.Generation, m.CreationTimestamp = nil, "", "", 0, metav1.Time{}
	delete(m.Annotations, "kubectl.kubernetes.io/last-applied-configuration")
}
