// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package lookups_test shows that the lookups of the baseline find what a real API server has, with the rule for tokens, which needs
// most of them.
package lookups_test

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/internal/cluster"
	"noderestriction.plus/internal/review"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/object"
	"noderestriction.plus/policy/rules"
)

// issuer is the audience of the API server of e2e.
const issuer = "https://kubernetes.default.svc"

// TestMain discards the log of controller-runtime's client.
func TestMain(m *testing.M) { suite.Main(m) }

func TestLookups(t *testing.T) {
	c := startCluster(t)
	c.store(t)
	t.Run("objects", c.testObjects)
	t.Run("tokens", c.testTokens)
}

// testCluster is an API server without NodeRestriction, with a webhook that enforces the baseline for tokens.
type testCluster struct {
	*suite.Suite
	objects *cluster.Objects
}

func startCluster(t *testing.T) *testCluster {
	t.Helper()
	c := &testCluster{Suite: suite.New(t, "lookups", controlplane.APIServerOptions{WithoutNodeRestriction: true})}
	config, err := c.ControlPlane.Admin()
	suite.Check(t, err)
	client, err := rest.HTTPClientFor(config)
	suite.Check(t, err)
	config.BearerTokenFile = c.ownToken(t)
	c.objects, err = cluster.NewObjects(config, client)
	suite.Check(t, err)
	return c
}

// ownToken returns a file with a token, as a kubelet mounts it for the program.
func (c *testCluster) ownToken(t *testing.T) string {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "node-restriction-plus", Namespace: "kube-system"}}
	_, err := c.Admin.CoreV1().ServiceAccounts("kube-system").Create(t.Context(), account, metav1.CreateOptions{})
	suite.Check(t, err)
	token, err := suite.Token(t.Context(), c.Admin, "kube-system", account.Name)
	suite.Check(t, err)
	path := filepath.Join(t.TempDir(), "token")
	suite.Check(t, os.WriteFile(path, []byte(token), 0o600))
	return path
}

// store stores a pod with a projected token and a claim, and the objects that the claim refers to.
func (c *testCluster) store(t *testing.T) {
	t.Helper()
	ctx, create, core := t.Context(), metav1.CreateOptions{}, c.Admin.CoreV1()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "web"}}
	_, err := core.ServiceAccounts("default").Create(ctx, account, create)
	suite.Check(t, err)
	_, err = core.Pods("default").Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: corev1.PodSpec{
			NodeName: "worker-1", ServiceAccountName: "web",
			Containers: []corev1.Container{{Name: "c", Image: "registry.example.com/c"}},
			Volumes: []corev1.Volume{
				{Name: "token", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
					Sources: []corev1.VolumeProjection{{
						ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token"},
					}},
				}}},
				{Name: "data", VolumeSource: corev1.VolumeSource{
					PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"},
				}},
			},
		},
	}, create)
	suite.Check(t, err)
	size := corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	modes := []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	_, err = core.PersistentVolumeClaims("default").Create(ctx, &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "data"},
		Spec: corev1.PersistentVolumeClaimSpec{
			VolumeName: "pv", AccessModes: modes, Resources: corev1.VolumeResourceRequirements{Requests: size},
		},
	}, create)
	suite.Check(t, err)
	_, err = core.PersistentVolumes().Create(ctx, &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: "pv"},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: size, AccessModes: modes, PersistentVolumeSource: corev1.PersistentVolumeSource{
				CSI: &corev1.CSIPersistentVolumeSource{Driver: "csi.example.com", VolumeHandle: "h"},
			},
		},
	}, create)
	suite.Check(t, err)
	_, err = c.Admin.StorageV1().CSIDrivers().Create(ctx, &storagev1.CSIDriver{
		ObjectMeta: metav1.ObjectMeta{Name: "csi.example.com"},
		Spec:       storagev1.CSIDriverSpec{TokenRequests: []storagev1.TokenRequest{{Audience: "storage"}}},
	}, create)
	suite.Check(t, err)
	meta := metav1.ObjectMeta{Name: "vault-tokens"}
	_, err = c.Admin.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{""}, Resources: []string{"vault"}, Verbs: []string{"request-serviceaccounts-token-audience"},
	}}}, create)
	suite.Check(t, err)
	_, err = c.Admin.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: meta.Name},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "system:nodes"}},
	}, create)
	suite.Check(t, err)
}

func (c *testCluster) testObjects(t *testing.T) {
	pod, found, err := c.objects.Pod("default", "web")
	if !found || err != nil || pod.Spec.ServiceAccountName != "web" || len(pod.Spec.Volumes) != 2 || pod.UID == "" {
		t.Errorf("the pod: %v, %v, %+v", found, err, pod)
	}
	if account, found, err := c.objects.ServiceAccount("default", "web"); !found || err != nil || account.UID == "" {
		t.Errorf("the service account: %v, %v", found, err)
	}
	claim, found, err := c.objects.PersistentVolumeClaim("default", "data")
	if !found || err != nil || claim.Spec.VolumeName != "pv" {
		t.Errorf("the claim: %v, %v", found, err)
	}
	if volume, found, err := c.objects.PersistentVolume("pv"); !found || err != nil || volume.Spec.CSI == nil {
		t.Errorf("the volume: %v, %v", found, err)
	}
	driver, found, err := c.objects.CSIDriver("csi.example.com")
	if !found || err != nil || len(driver.Spec.TokenRequests) != 1 {
		t.Errorf("the driver: %v, %v", found, err)
	}
	if _, found, err := c.objects.Pod("default", "gone"); found || err != nil {
		t.Errorf("a pod that does not exist: %v, %v", found, err)
	}
	if own, err := c.objects.APIAudiences(); err != nil || !slices.Equal(own, []string{issuer}) {
		t.Errorf("the API server's audiences: %q, %v", own, err)
	}
	for resource, want := range map[string]bool{"vault": true, "other": false} {
		ask := &authorizationv1.SubjectAccessReviewSpec{
			User: "system:node:worker-1", Groups: []string{"system:nodes"},
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Verb: "request-serviceaccounts-token-audience", Version: "v1", Resource: resource,
				Namespace: "default", Name: "web",
			},
		}
		if got, err := c.objects.Authorized(ask); err != nil || got != want {
			t.Errorf("tokens for %s: %v, %v", resource, got, err)
		}
	}
}

func (c *testCluster) testTokens(t *testing.T) {
	hook := c.startWebhook(t)
	config, err := c.ControlPlane.Kubelet("worker-1")
	suite.Check(t, err)
	kubelet, err := kubernetes.NewForConfig(config)
	suite.Check(t, err)
	pod, err := c.Admin.CoreV1().Pods("default").Get(t.Context(), "web", metav1.GetOptions{})
	suite.Check(t, err)
	ask := func(audiences ...string) error {
		_, err := kubelet.CoreV1().ServiceAccounts("default").CreateToken(t.Context(), "web", &authenticationv1.TokenRequest{
			Spec: authenticationv1.TokenRequestSpec{
				Audiences: audiences,
				BoundObjectRef: &authenticationv1.BoundObjectReference{
					APIVersion: "v1", Kind: "Pod", Name: "web", UID: pod.UID,
				},
			},
		}, metav1.CreateOptions{})
		return err
	}
	// Until the API server knows the webhook, it allows every audience, and until it knows the pod, it allows none.
	suite.Eventually(t, time.Minute, func() error {
		if err := ask("other"); err == nil || !strings.Contains(err.Error(), "baseline service account tokens") {
			return fmt.Errorf("want a denial by the baseline, got %w", err)
		}
		return nil
	})
	for _, test := range []struct {
		name     string
		audience []string
		denied   bool
	}{
		{"without an audience, as for the projected volume", nil, false},
		{"for the audience that the CSI driver requests", []string{"storage"}, false},
		{"for an audience that RBAC grants", []string{"vault"}, false},
		{"for another audience", []string{"other"}, true},
		{"for two audiences", []string{"storage", "vault"}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := ask(test.audience...)
			if denied := err != nil; denied != test.denied {
				t.Errorf("got %v", err)
			}
			sent := hook.sent()
			if len(test.audience) == 0 && !strings.Contains(sent, `"audiences":["`+issuer+`"]`) {
				t.Errorf("the API server did not add its audience: %s", sent)
			}
		})
	}
}

// webhook evaluates token requests, and keeps the last one.
type webhook struct {
	mu   sync.Mutex
	last []byte
}

func (h *webhook) sent() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return string(h.last)
}

func (c *testCluster) startWebhook(t *testing.T) *webhook {
	t.Helper()
	compiled, errs := rules.NewCompiler().Compile(&v1alpha1.NodeRestrictionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "baseline"},
		Spec: v1alpha1.NodeRestrictionPolicySpec{ValidationActions: []v1alpha1.ValidationAction{v1alpha1.Deny}, Baseline: &v1alpha1.Baseline{
			Resources: []v1alpha1.BaselineResource{v1alpha1.BaselineServiceAccounts},
		}},
	})
	suite.Check(t, errs.ToAggregate())
	set, hook := policy.NewSet(compiled), &webhook{}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		decoded, err := review.Decode(body)
		if err != nil {
			t.Error(err)
			return
		}
		hook.mu.Lock()
		hook.last = bytes.Clone(decoded.Request.Object)
		hook.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(decoded.Answer(decoded.Evaluate(set, withoutNodes{c.objects}), review.Receipt{}))
	}))
	t.Cleanup(server.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	_, err := c.Admin.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(t.Context(),
		&admissionregistrationv1.ValidatingWebhookConfiguration{
			ObjectMeta: metav1.ObjectMeta{Name: "tokens"},
			Webhooks: []admissionregistrationv1.ValidatingWebhook{{
				Name:         "tokens.noderestriction.plus",
				ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: &server.URL, CABundle: ca},
				Rules: []admissionregistrationv1.RuleWithOperations{{
					Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
					Rule: admissionregistrationv1.Rule{
						APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"serviceaccounts/token"},
					},
				}},
				SideEffects:             new(admissionregistrationv1.SideEffectClassNone),
				AdmissionReviewVersions: []string{"v1"},
			}},
		}, metav1.CreateOptions{})
	suite.Check(t, err)
	return hook
}

// withoutNodes are Facts about everything except Nodes, which a token request does not need.
type withoutNodes struct{ *cluster.Objects }

func (withoutNodes) Node(string) (*object.Metadata, bool, error) { return nil, false, nil }

func (withoutNodes) NodesAt(string) ([]string, error) {
	return nil, errors.New("a token request must not look up Nodes by address")
}

func (withoutNodes) NodesOf(string) ([]string, error) {
	return nil, errors.New("a token request must not look up Nodes by provider ID")
}
