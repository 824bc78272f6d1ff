// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package certmanager_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"noderestriction.plus/e2e/cluster"
	"noderestriction.plus/e2e/suite"
)

// The Certificates of the chart, and their Secrets.
const (
	leafName, leafSecret = cluster.Name, cluster.Name + "-tls"
	caName, caSecret     = cluster.Name + "-ca", cluster.Name + "-cert-manager-ca"
	service              = cluster.Name + "." + cluster.Namespace + ".svc"
)

func (s *setup) certificates() dynamic.ResourceInterface {
	return s.objects.Resource(schema.GroupVersionResource{
		Group: "cert-manager.io", Version: "v1", Resource: "certificates",
	}).Namespace(cluster.Namespace)
}

// condition returns the status of a Certificate's condition, or empty.
func condition(object *unstructured.Unstructured, kind string) string {
	all, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, c := range all {
		if c, ok := c.(map[string]any); ok && c["type"] == kind {
			status, _ := c["status"].(string)
			return status
		}
	}
	return ""
}

// revision returns how often a Certificate was issued, or an error if it is not issued or is being reissued.
func (s *setup) revision(t *testing.T, name string) (int64, error) {
	object, err := s.certificates().Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		return 0, err
	}
	revision, _, err := unstructured.NestedInt64(object.Object, "status", "revision")
	if err == nil && (condition(object, "Ready") != "True" || condition(object, "Issuing") == "True") {
		err = fmt.Errorf("the Certificate %s is not ready: %v", name, object.Object["status"])
	}
	return revision, err
}

// renew makes cert-manager reissue a Certificate, as cmctl renew does, and waits for it.
func (s *setup) renew(t *testing.T, name string) {
	t.Helper()
	before, err := s.revision(t, name)
	suite.Check(t, err)
	suite.Eventually(t, patience, func() error { // cert-manager writes the status, too
		object, err := s.certificates().Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		conditions, _, err := unstructured.NestedSlice(object.Object, "status", "conditions")
		if err != nil {
			return err
		}
		conditions = append(conditions, map[string]any{
			"type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "by the test",
			"lastTransitionTime": time.Now().UTC().Format(time.RFC3339), "observedGeneration": object.GetGeneration(),
		})
		if err := unstructured.SetNestedSlice(object.Object, conditions, "status", "conditions"); err != nil {
			return err
		}
		_, err = s.certificates().UpdateStatus(t.Context(), object, metav1.UpdateOptions{})
		return err
	})
	took := suite.Eventually(t, patience, func() error {
		now, err := s.revision(t, name)
		if err == nil && now == before {
			err = errors.New("the Certificate has not been reissued yet")
		}
		return err
	})
	t.Logf("%s was reissued within %s", name, took.Round(10*time.Millisecond))
}

func (s *setup) secret(t *testing.T, name string) (*corev1.Secret, error) {
	return s.Admin.CoreV1().Secrets(cluster.Namespace).Get(t.Context(), name, metav1.GetOptions{})
}

// certificate returns the first certificate of a key of a Secret.
func (s *setup) certificate(t *testing.T, secret, key string) (*x509.Certificate, error) {
	stored, err := s.secret(t, secret)
	if err != nil {
		return nil, err
	}
	certs, err := suite.ParseCertificates(stored.Data[key])
	if err == nil && len(certs) == 0 {
		err = fmt.Errorf("the Secret %s has no certificate in %s", secret, key)
	}
	if err != nil {
		return nil, err
	}
	return certs[0], nil
}

func (s *setup) mustCertificate(t *testing.T, secret string) *x509.Certificate {
	t.Helper()
	cert, err := s.certificate(t, secret, corev1.TLSCertKey)
	suite.Check(t, err)
	return cert
}

// trusted returns the CAs in the bundle of the first webhook.
func (s *setup) trusted(t *testing.T) []*x509.Certificate {
	t.Helper()
	cas, err := suite.ParseCertificates(s.Webhooks(t).Webhooks[0].ClientConfig.CABundle)
	suite.Check(t, err)
	return cas
}

// injected returns an error if a bundle does not have exactly these CAs.
func (s *setup) injected(t *testing.T, want ...*x509.Certificate) error {
	for _, w := range s.Webhooks(t).Webhooks {
		got, err := suite.ParseCertificates(w.ClientConfig.CABundle)
		if err != nil {
			return err
		}
		for _, ca := range want {
			if !slices.ContainsFunc(got, ca.Equal) {
				return fmt.Errorf("%s: the bundle does not have CA %x", w.Name, ca.SerialNumber)
			}
		}
		if len(got) != len(want) {
			return fmt.Errorf("%s: %d CAs are in the bundle, want %d", w.Name, len(got), len(want))
		}
	}
	return nil
}

func (s *setup) checkInjected(t *testing.T, want ...*x509.Certificate) {
	t.Helper()
	if err := s.injected(t, want...); err != nil {
		t.Error(err)
	}
}

// checkSigned checks that a CA has signed the certificate in the leaf's Secret, for the Service.
func (s *setup) checkSigned(t *testing.T, by *x509.Certificate) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(by)
	if _, err := s.mustCertificate(t, leafSecret).Verify(x509.VerifyOptions{Roots: roots, DNSName: service}); err != nil {
		t.Error(err)
	}
}

// awaitServed waits until every replica serves the certificate in the leaf's Secret, as its metric says.
func (s *setup) awaitServed(t *testing.T) {
	t.Helper()
	took := suite.Eventually(t, patience, func() error {
		leaf, err := s.certificate(t, leafSecret, corev1.TLSCertKey)
		if err != nil {
			return err
		}
		replicas := s.Replicas()
		for _, r := range replicas {
			m, err := r.Metrics(t.Context())
			if err != nil {
				return err
			}
			got := int64(m.Sum("node_restriction_plus_certificate_expiry_timestamp_seconds"))
			if want := leaf.NotAfter.Unix(); got != want {
				return fmt.Errorf("%s serves a certificate that expires at %d, want %d", r.Pod, got, want)
			}
		}
		if len(replicas) != 3 {
			return fmt.Errorf("%d replicas run", len(replicas))
		}
		return nil
	})
	t.Logf("every replica serves the certificate %s later", took.Round(100*time.Millisecond))
}
