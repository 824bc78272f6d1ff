// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"noderestriction.plus/e2e/controlplane"
)

// CreateNode creates a Node as the administrator.
func (s *Suite) CreateNode(t testing.TB, name string) {
	t.Helper()
	_, err := s.Admin.CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	Check(t, err)
}

// GetNode returns a Node as the administrator.
func (s *Suite) GetNode(t testing.TB, name string) *corev1.Node {
	t.Helper()
	node, err := s.Admin.CoreV1().Nodes().Get(t.Context(), name, metav1.GetOptions{})
	Check(t, err)
	return node
}

// AwaitNodeCondition waits until a condition of a Node has a status.
func (s *Suite) AwaitNodeCondition(
	t testing.TB, timeout time.Duration, name string, condition corev1.NodeConditionType, want corev1.ConditionStatus,
) {
	t.Helper()
	Eventually(t, timeout, func() error {
		node, err := s.Admin.CoreV1().Nodes().Get(t.Context(), name, metav1.GetOptions{})
		if err == nil && !slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
			return c.Type == condition && c.Status == want
		}) {
			err = fmt.Errorf("condition %s of node %s is not %s: %v", condition, name, want, node.Status.Conditions)
		}
		return err
	})
}

// AwaitPod waits until a condition holds for a pod, or for nil without the pod, and returns how long it took.
func (s *Suite) AwaitPod(
	t testing.TB, timeout time.Duration, namespace, name string, condition func(*corev1.Pod) bool,
) time.Duration {
	t.Helper()
	return Eventually(t, timeout, func() error {
		pod, err := s.Admin.CoreV1().Pods(namespace).Get(t.Context(), name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			pod, err = nil, nil
		}
		if err == nil && !condition(pod) {
			err = fmt.Errorf("pod %s/%s: %s", namespace, name, DescribePod(pod))
		}
		return err
	})
}

// Running reports whether a pod runs.
func Running(pod *corev1.Pod) bool { return pod != nil && pod.Status.Phase == corev1.PodRunning }

// Gone reports whether there is no pod.
func Gone(pod *corev1.Pod) bool { return pod == nil }

// DescribePod describes the state of a pod for errors.
func DescribePod(pod *corev1.Pod) string {
	if pod == nil {
		return "does not exist"
	}
	return fmt.Sprintf("%s (%s), deletionTimestamp %s, conditions %v",
		pod.Status.Phase, pod.Status.Reason, pod.DeletionTimestamp, pod.Status.Conditions)
}

// AllowMetrics creates service accounts and permits them to get /metrics. What exists stays as it is.
func AllowMetrics(ctx context.Context, admin kubernetes.Interface, namespace string, accounts ...string) error {
	meta := metav1.ObjectMeta{Name: "metrics-reader"}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: meta.Name},
	}
	var errs []error
	for _, account := range accounts {
		binding.Subjects = append(binding.Subjects, rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Name: account, Namespace: namespace})
		_, err := admin.CoreV1().ServiceAccounts(namespace).
			Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: account}}, metav1.CreateOptions{})
		errs = append(errs, err)
	}
	_, err := admin.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{
		ObjectMeta: meta, Rules: []rbacv1.PolicyRule{{NonResourceURLs: []string{"/metrics"}, Verbs: []string{"get"}}},
	}, metav1.CreateOptions{})
	errs = append(errs, err)
	_, err = admin.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{})
	errs = append(errs, err)
	return errors.Join(slices.DeleteFunc(errs, apierrors.IsAlreadyExists)...)
}

// Token returns a new token of a service account, for the API server if no audience is named.
func Token(ctx context.Context, admin kubernetes.Interface, namespace, account string, audiences ...string) (string, error) {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences}}
	token, err := admin.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, account, request, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return token.Status.Token, nil
}

// CertificatePEM encodes a certificate.
func CertificatePEM(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}

// ParseCertificates parses certificates in PEM.
func ParseCertificates(data []byte) ([]*x509.Certificate, error) {
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

// ClientCertificateFlag returns the flag with which an API server shows a client certificate to the webhooks at a host, with port,
// or to all webhooks if the host is "*". It writes the files that the flag needs into the directory.
func ClientCertificateFlag(t testing.TB, dir, host string, client controlplane.Certificate) string {
	t.Helper()
	Check(t, client.Write(dir))
	kubeconfig, configuration := filepath.Join(dir, "clients.kubeconfig"), filepath.Join(dir, "admission.yaml")
	Check(t, os.WriteFile(kubeconfig, fmt.Appendf(nil, `apiVersion: v1
kind: Config
users:
- name: %q
  user: {client-certificate: %q, client-key: %q}
`, host, filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")), 0o600))
	Check(t, os.WriteFile(configuration, fmt.Appendf(nil, `apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: ValidatingAdmissionWebhook
  configuration:
    apiVersion: apiserver.config.k8s.io/v1
    kind: WebhookAdmissionConfiguration
    kubeConfigFile: %q
`, kubeconfig), 0o600))
	return "--admission-control-config-file=" + configuration
}
