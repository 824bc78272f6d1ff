// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package wiring_test rewrites the webhook configuration and the floor in a real API server, as platforms do, and shows that the product
// reports each change, and no upgrade.
package wiring_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/suite"
)

const (
	// recovery bounds each wait, on a busy machine. A condition stands for a minute before another contradicts it.
	recovery = 3 * time.Minute
	// user is the product's user, which has only what the chart grants.
	user = "nrp"
	// floor is the policy of the floor that belongs to recommended.
	floor = "node-restriction-plus-recommended"

	differences = "node_restriction_plus_wiring_differences"
	compared    = "node_restriction_plus_wiring_check_success"
	probes      = "node_restriction_plus_enforcement_probes_total"
)

// values are those of the chart.
func values() []string {
	return []string{"policies.recommended=Deny", "rbac.subjects[0].kind=User,rbac.subjects[0].name=" + user}
}

// TestMain discards the log of controller-runtime's client.
func TestMain(m *testing.M) { suite.Main(m) }

// setup is a control plane with the product in front of it.
type setup struct {
	*suite.Suite
	product *product.Product
	helm    string
}

func TestWiring(t *testing.T) {
	s := newSetup(t)
	s.awaitCondition(t, metav1.ConditionTrue, "ProbeDenied", "gate, registration, status, policies; the webhook configuration and the floor are as")
	for _, test := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"a platform excludes namespaces", s.testNamespaceSelector},
		{"an upgrade changes everything", s.testUpgrade},
		{"the floor is changed", s.testFloor},
		{"one webhook has another CA", s.testCA},
		{"the configuration is deleted", s.testDeletion},
		{"the permission is lost", s.testPermission},
	} {
		t.Run(test.name, test.run)
	}
}

func newSetup(t *testing.T) *setup {
	t.Helper()
	s := &setup{Suite: suite.New(t, "wiring", controlplane.APIServerOptions{})}
	var err error
	s.helm, err = binaries.Helm(t.Context(), t.Output())
	suite.Check(t, err)
	suite.Check(t, product.ApplyCRD(t.Context(), s.Kubectl))
	suite.Check(t, product.ApplyRoles(t.Context(), s.Kubectl, s.helm, append(values(), "enforcementProbe.enabled=true")...))
	config, err := s.ControlPlane.User(user)
	suite.Check(t, err)
	s.product = s.MustInstall(t, product.Options{Config: config, Args: []string{
		"--enforcement-probe", "--enforcement-probe-interval=1s",
		"--wiring-check-configuration=" + product.Name, "--wiring-check-interval=1s",
	}})
	s.configure(t)
	return s
}

// configure applies the chart with more values. It also restores what somebody has changed.
func (s *setup) configure(t *testing.T, more ...string) {
	t.Helper()
	all := append(values(), "enforcementProbe.enabled=true")
	suite.Check(t, s.product.Configure(t.Context(), s.Kubectl, s.helm, append(all, more...)...))
}

// enforced returns the condition of the policy recommended.
func (s *setup) enforced(t *testing.T) (*metav1.Condition, error) {
	t.Helper()
	p := &v1alpha1.NodeRestrictionPolicy{}
	if err := s.Policies.Get(t.Context(), client.ObjectKey{Name: "recommended"}, p); err != nil {
		return nil, err
	}
	if p.Status == nil {
		return nil, errors.New("there is no status")
	}
	c := meta.FindStatusCondition(p.Status.Conditions, "Enforced")
	if c == nil {
		return nil, errors.New("there is no condition")
	}
	return c, nil
}

func (s *setup) awaitCondition(t *testing.T, status metav1.ConditionStatus, reason, text string) {
	t.Helper()
	suite.Eventually(t, recovery, func() error {
		c, err := s.enforced(t)
		if err != nil {
			return err
		}
		if c.Status != status || c.Reason != reason || !strings.Contains(c.Message, text) {
			return fmt.Errorf("the condition is %s, %s: %s", c.Status, c.Reason, c.Message)
		}
		return nil
	})
}

// metric returns the sum of the series with these labels.
func (s *setup) metric(t *testing.T, name string, labels ...string) float64 {
	t.Helper()
	m, err := s.product.Metrics(t.Context())
	suite.Check(t, err)
	return m.Sum(name, labels...)
}

// allowedProbes returns how many probes of each webhook were allowed.
func (s *setup) allowedProbes(t *testing.T) map[string]float64 {
	t.Helper()
	count := map[string]float64{}
	for _, webhook := range []string{"gate", "registration", "status", "policies"} {
		count[webhook] = s.metric(t, probes, "webhook", webhook, "result", "allowed")
	}
	return count
}

// awaitSent waits until the API server sends kubelets' writes in a namespace to the product, or not. The product always denies a
// kubelet whose name is empty.
func (s *setup) awaitSent(t *testing.T, namespace string, want bool) {
	t.Helper()
	config, err := s.ControlPlane.User("system:node:", "system:masters")
	suite.Check(t, err)
	nameless, err := kubernetes.NewForConfig(config)
	suite.Check(t, err)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "a"}}},
	}
	suite.Eventually(t, recovery, func() error {
		_, err := nameless.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		switch {
		case want && apierrors.IsForbidden(err), !want && err == nil:
			return nil
		case err == nil:
			return errors.New("it is not sent")
		}
		return err
	})
}

// awaitDifferences waits until this number of differences of a part is counted, and no others.
func (s *setup) awaitDifferences(t *testing.T, want float64, part, effect string) {
	t.Helper()
	suite.Eventually(t, recovery, func() error {
		all, some := s.metric(t, differences), s.metric(t, differences, "part", part, "effect", effect)
		if all != want || some != want {
			return fmt.Errorf("%v differences, %v of them of %s and %s", all, some, part, effect)
		}
		return nil
	})
}

// awaitClean waits until there are no differences any more.
func (s *setup) awaitClean(t *testing.T) {
	t.Helper()
	s.awaitDifferences(t, 0, "gate", "weaker")
}

// testNamespaceSelector rewrites the configuration as the admissions enforcer of AKS does.
func (s *setup) testNamespaceSelector(t *testing.T) {
	rewrite := func(selector *metav1.LabelSelector) {
		suite.Check(t, s.ChangeWebhooks(t.Context(), func(w *admissionregistrationv1.ValidatingWebhook) { w.NamespaceSelector = selector }))
	}
	// The labels of kube-system in AKS.
	_, err := s.Admin.CoreV1().Namespaces().Patch(t.Context(), metav1.NamespaceSystem, types.MergePatchType,
		[]byte(`{"metadata":{"labels":{"control-plane":"true","kubernetes.azure.com/managedby":"aks"}}}`), metav1.PatchOptions{})
	suite.Check(t, err)
	s.awaitSent(t, metav1.NamespaceSystem, true)
	rewrite(&metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
		{Key: "control-plane", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"true"}},
		{Key: "kubernetes.azure.com/managedby", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"aks"}},
	}})
	suite.Eventually(t, recovery, func() error {
		gate, status := s.metric(t, differences, "part", "gate"), s.metric(t, differences, "part", "status")
		if all := s.metric(t, differences); gate != 1 || status != 1 || all != 2 {
			return fmt.Errorf("%v differences, %v of gate and %v of status", all, gate, status)
		}
		return nil
	})
	s.awaitCondition(t, metav1.ConditionFalse, "WiringChanged", `webhook "gate.noderestriction.plus" does not send writes in namespaces `+
		`excluded by namespaceSelector "control-plane notin (true),kubernetes.azure.com/managedby notin (aks)"; `+
		`webhook "status.noderestriction.plus" does not send writes in namespaces excluded by namespaceSelector`)
	s.awaitSent(t, metav1.NamespaceSystem, false)
	s.awaitSent(t, metav1.NamespaceDefault, true)
	rewrite(&metav1.LabelSelector{})
	s.awaitSent(t, metav1.NamespaceSystem, true)
	s.awaitClean(t)
	s.awaitCondition(t, metav1.ConditionTrue, "ProbeDenied", "as they were installed")
}

// testUpgrade applies other values, which change the webhooks and the floor, and then the first ones again.
func (s *setup) testUpgrade(t *testing.T) {
	for _, more := range [][]string{
		{"webhook.timeoutSeconds.gate=3", "rules.events=true", "baseline={pods,leases}", "policies.strict=Deny"}, {},
	} {
		s.configure(t, more...)
		// Several comparisons. The first may see some objects before the upgrade, and others after it.
		for end := time.Now().Add(8 * time.Second); time.Now().Before(end); {
			if n := s.metric(t, differences); n != 0 {
				c, err := s.enforced(t)
				t.Fatalf("there are %v differences during an upgrade: %v %v", n, c, err)
			}
			if !suite.Sleep(t.Context(), 100*time.Millisecond) {
				return
			}
		}
	}
}

// testFloor makes the floor audit only, and deletes it.
func (s *setup) testFloor(t *testing.T) {
	bindings := s.Admin.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings()
	_, err := bindings.Patch(t.Context(), floor, types.MergePatchType, []byte(`{"spec":{"validationActions":["Audit"]}}`), metav1.PatchOptions{})
	suite.Check(t, err)
	s.awaitDifferences(t, 1, "floor", "weaker")
	suite.Check(t, bindings.Delete(t.Context(), floor, metav1.DeleteOptions{}))
	suite.Check(t, s.Admin.AdmissionregistrationV1().ValidatingAdmissionPolicies().Delete(t.Context(), floor, metav1.DeleteOptions{}))
	s.awaitDifferences(t, 2, "floor", "weaker")
	s.configure(t)
	s.awaitClean(t)
}

// testCA gives one webhook a CA that did not sign the product's certificate. The comparison ignores CA bundles; the probe notices.
func (s *setup) testCA(t *testing.T) {
	other, err := controlplane.NewCA("other")
	suite.Check(t, err)
	// Before the configuration was there, probes of each webhook were allowed.
	count := s.allowedProbes(t)
	var before []byte
	suite.Check(t, s.ChangeWebhooks(t.Context(), func(w *admissionregistrationv1.ValidatingWebhook) {
		if w.Name == "status.noderestriction.plus" {
			before, w.ClientConfig.CABundle = w.ClientConfig.CABundle, other.PEM()
		}
	}))
	suite.Eventually(t, recovery, func() error {
		if s.allowedProbes(t)["status"] == count["status"] {
			return errors.New("no probe of the webhook is allowed")
		}
		return nil
	})
	for _, webhook := range []string{"gate", "registration", "policies"} {
		if n := s.allowedProbes(t)[webhook] - count[webhook]; n != 0 {
			t.Errorf("%v probes of %s are allowed", n, webhook)
		}
	}
	suite.Check(t, s.ChangeWebhooks(t.Context(), func(w *admissionregistrationv1.ValidatingWebhook) {
		if w.Name == "status.noderestriction.plus" {
			w.ClientConfig.CABundle = before
		}
	}))
	suite.Eventually(t, recovery, func() error {
		if s.metric(t, "node_restriction_plus_enforcement_probe_success") != 1 {
			return errors.New("the probe is not denied by every webhook")
		}
		return nil
	})
	if n := s.metric(t, differences); n != 0 {
		t.Errorf("a CA bundle is %v differences", n)
	}
}

// testDeletion deletes the configuration: nothing is sent any more.
func (s *setup) testDeletion(t *testing.T) {
	before := s.allowedProbes(t)
	err := s.Admin.AdmissionregistrationV1().ValidatingWebhookConfigurations().Delete(t.Context(), product.Name, metav1.DeleteOptions{})
	suite.Check(t, err)
	s.awaitDifferences(t, 1, "configuration", "weaker")
	suite.Eventually(t, recovery, func() error {
		for webhook, n := range s.allowedProbes(t) {
			if n == before[webhook] {
				return fmt.Errorf("no probe of %s is allowed", webhook)
			}
		}
		return nil
	})
	s.configure(t)
	s.awaitClean(t)
	suite.Check(t, s.product.AwaitCalled(t.Context(), s.ControlPlane.APIServer))
}

// testPermission takes the permission to read the objects. That is not a difference.
func (s *setup) testPermission(t *testing.T) {
	roles := s.Admin.RbacV1().ClusterRoles()
	role, err := roles.Get(t.Context(), product.Name, metav1.GetOptions{})
	suite.Check(t, err)
	kept := role.Rules[:0:0]
	for _, rule := range role.Rules {
		if rule.APIGroups[0] != admissionregistrationv1.GroupName {
			kept = append(kept, rule)
		}
	}
	role.Rules = kept
	_, err = roles.Update(t.Context(), role, metav1.UpdateOptions{})
	suite.Check(t, err)
	suite.Eventually(t, recovery, func() error {
		if s.metric(t, compared) != 0 {
			return errors.New("it can still compare")
		}
		return nil
	})
	s.awaitCondition(t, metav1.ConditionUnknown, "WiringUnknown", "is forbidden")
	if n := s.metric(t, differences); n != 0 {
		t.Errorf("there are %v differences", n)
	}
	s.configure(t)
	suite.Eventually(t, recovery, func() error {
		if s.metric(t, compared) != 1 {
			return errors.New("it cannot compare")
		}
		return nil
	})
}
