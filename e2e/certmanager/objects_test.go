// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package certmanager_test

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"noderestriction.plus/e2e/cluster"
)

// The Certificates of the chart, and their Secrets.
const (
	leafName, leafSecret           = cluster.Name, cluster.Name + "-tls"
	authorityName, authoritySecret = cluster.Name + "-ca", cluster.Name + "-cert-manager-ca"
	service                        = cluster.Name + "." + cluster.Namespace + ".svc"
)

func (s *setup) certificates() dynamic.ResourceInterface {
	return s.objects.Resource(schema.GroupVersionResource{
		Group: "cert-manager.io", Version: "v1", Resource: "certificates",
	}).Namespace(cluster.Namespace)
}

// condition is the status of a Certificate's condition, or empty.
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

// revision is how often a Certificate was issued, and an error while it is not, or is being issued again.
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

// renew has a Certificate issued again, as cmctl renew does, and waits until it is.
func (s *setup) renew(t *testing.T, name string) {
	t.Helper()
	before, err := s.revision(t, name)
	suite.Check(t, err)
	eventually(t, func() error { // others write the status, too
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
	took := eventually(t, func() error {
		now, err := s.revision(t, name)
		if err == nil && now == before {
			err = errors.New("it has not been issued again yet")
		}
		return err
	})
	t.Logf("%s was issued again within %s", name, took.Round(10*time.Millisecond))
}

func (s *setup) secret(t *testing.T, name string) (*corev1.Secret, error) {
	return s.Admin.CoreV1().Secrets(cluster.Namespace).Get(t.Context(), name, metav1.GetOptions{})
}

// certificate is the first certificate of a key of a Secret, when it has one.
func (s *setup) certificate(t *testing.T, secret, key string) (*x509.Certificate, error) {
	stored, err := s.secret(t, secret)
	if err != nil {
		return nil, err
	}
	certs, err := fromPEM(stored.Data[key])
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

func (s *setup) configuration(t *testing.T) *admissionregistrationv1.ValidatingWebhookConfiguration {
	t.Helper()
	configurations := s.Admin.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	c, err := configurations.Get(t.Context(), cluster.Name, metav1.GetOptions{})
	suite.Check(t, err)
	return c
}

// trusted are the authorities in the bundle of the first webhook.
func (s *setup) trusted(t *testing.T) []*x509.Certificate {
	t.Helper()
	authorities, err := fromPEM(s.configuration(t).Webhooks[0].ClientConfig.CABundle)
	suite.Check(t, err)
	return authorities
}

// injected returns an error if a bundle does not have exactly these authorities.
func (s *setup) injected(t *testing.T, want ...*x509.Certificate) error {
	for _, w := range s.configuration(t).Webhooks {
		got, err := fromPEM(w.ClientConfig.CABundle)
		if err != nil {
			return err
		}
		for _, authority := range want {
			if !slices.ContainsFunc(got, authority.Equal) {
				return fmt.Errorf("%s: the bundle does not have authority %x", w.Name, authority.SerialNumber)
			}
		}
		if len(got) != len(want) {
			return fmt.Errorf("%s: %d authorities are in the bundle, want %d", w.Name, len(got), len(want))
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

// checkSigned checks that an authority has signed what is in the leaf's Secret, for the Service.
func (s *setup) checkSigned(t *testing.T, by *x509.Certificate) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(by)
	if _, err := s.mustCertificate(t, leafSecret).Verify(x509.VerifyOptions{Roots: roots, DNSName: service}); err != nil {
		t.Error(err)
	}
}

// awaitServed waits until every replica serves what is in the leaf's Secret, as its metric says.
func (s *setup) awaitServed(t *testing.T) {
	t.Helper()
	took := eventually(t, func() error {
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
				return fmt.Errorf("%s serves what expires at %d, want %d", r.Pod, got, want)
			}
		}
		if len(replicas) != 3 {
			return fmt.Errorf("%d replicas run", len(replicas))
		}
		return nil
	})
	t.Logf("every replica serves it %s later", took.Round(100*time.Millisecond))
}

func fromPEM(data []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certs = append(certs, cert)
	}
	return certs, nil
}
