// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/e2e/certmanager"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/suite"
)

// leafSecret is the Secret with the certificate that cert-manager issues.
const leafSecret = product.Name + "-tls"

// testCertManager changes the issuer of the certificate to cert-manager, and has it issue another one, which the kubelets bring into the
// pods. No attack passes meanwhile.
func (s *productSetup) testCertManager(t *testing.T) {
	certmanager.Install(t, s.Suite)
	other := s.under(t, func() {
		s.install(t, "policies.recommended=Deny", "replicas=2", "certificates.mode=certManager")
		s.awaitReplicas(t, 2)
		s.awaitServed(t)
	})
	s.testHelm(t)
	first := s.leaf(t)
	other = append(other, s.under(t, func() {
		suite.Check(t, s.Admin.CoreV1().Secrets(namespace).Delete(t.Context(), leafSecret, metav1.DeleteOptions{}))
		suite.Eventually(t, patience, func() error {
			if leaf, err := s.storedLeaf(t); err != nil || bytes.Equal(leaf, first) {
				return errors.Join(err, errors.New("the certificate has not been issued again"))
			}
			return nil
		})
		t.Logf("the kubelets brought it into the pods within %s", s.awaitServed(t).Round(100*time.Millisecond))
	})...)
	for _, a := range other {
		t.Errorf("an attack meanwhile: %s", a)
	}
}

// storedLeaf returns the certificate in the Secret.
func (s *productSetup) storedLeaf(t *testing.T) ([]byte, error) {
	secret, err := s.Admin.CoreV1().Secrets(namespace).Get(t.Context(), leafSecret, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	all, err := suite.ParseCertificates(secret.Data[corev1.TLSCertKey])
	if err == nil && len(all) == 0 {
		err = errors.New("the Secret has no certificate")
	}
	if err != nil {
		return nil, err
	}
	return all[0].Raw, nil
}

func (s *productSetup) leaf(t *testing.T) []byte {
	t.Helper()
	leaf, err := s.storedLeaf(t)
	suite.Check(t, err)
	return leaf
}

// awaitServed waits until each pod serves the certificate in the Secret, and returns how long it took.
func (s *productSetup) awaitServed(t *testing.T) time.Duration {
	t.Helper()
	return suite.Eventually(t, patience, func() error {
		want, err := s.storedLeaf(t)
		if err != nil {
			return err
		}
		for _, pod := range s.pods(t) {
			if got, err := served(t, &pod); err != nil || !bytes.Equal(got, want) {
				return errors.Join(err, fmt.Errorf("%s does not serve the certificate in the Secret", pod.Name))
			}
		}
		return nil
	})
}

// served returns the certificate that a pod serves.
func served(t *testing.T, pod *corev1.Pod) ([]byte, error) {
	var leaf []byte
	dialer := tls.Dialer{Config: &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, // the certificate is what is asked for
		VerifyConnection: func(state tls.ConnectionState) error {
			leaf = state.PeerCertificates[0].Raw
			return nil
		},
	}}
	conn, err := dialer.DialContext(t.Context(), "tcp", net.JoinHostPort(pod.Status.PodIP, webhookPort(pod)))
	if err != nil {
		return nil, err
	}
	return leaf, conn.Close()
}

func webhookPort(pod *corev1.Pod) string {
	for _, p := range pod.Spec.Containers[0].Ports {
		if p.Name == "webhook" {
			return fmt.Sprint(p.ContainerPort)
		}
	}
	return ""
}
