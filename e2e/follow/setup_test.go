// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package follow_test shows that match conditions follow the policies in force: Helm installs the chart with webhook.followPolicies, and
// the program has only the permissions that the chart grants.
package follow_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/project"
	"noderestriction.plus/e2e/suite"
)

const (
	// recovery bounds each wait, on a busy machine. An API server compiles all match conditions when one changes.
	recovery = 5 * time.Minute
	// user is the product's user, which has only what the chart grants.
	user = "nrp"
	// floor is the policy of the floor that follows the policies.
	floor = product.Name + ".policies"

	writes  = "node_restriction_plus_conditions_writes_total"
	current = "node_restriction_plus_conditions_current"
	wiring  = "node_restriction_plus_wiring_differences"
)

// TestMain discards the log of controller-runtime's client.
func TestMain(m *testing.M) { suite.Main(m) }

// setup is a control plane with a release of the chart, whose program runs outside the cluster.
type setup struct {
	*suite.Suite
	product *product.Product
	helm    string
	file    string // what the program reads
	args    []string
}

func newSetup(t *testing.T) *setup {
	t.Helper()
	s := &setup{Suite: suite.New(t, "follow", controlplane.APIServerOptions{})}
	s.file = filepath.Join(s.Dir, "conditions.json")
	s.args = []string{
		"--base-conditions=" + s.file, "--wiring-check-configuration=" + product.Name, "--wiring-check-interval=1s",
		"--enforcement-probe", "--enforcement-probe-interval=1s",
	}
	var err error
	s.helm, err = binaries.Helm(t.Context(), t.Output())
	suite.Check(t, err)
	suite.Check(t, product.ApplyCRD(t.Context(), s.Kubectl))
	s.upgrade(t, "https://127.0.0.1:1") // the program needs its permissions, and the chart the program's address
	config, err := s.ControlPlane.User(user)
	suite.Check(t, err)
	binary, err := binaries.Product(t.Context(), t.Output(), binaries.Plain())
	suite.Check(t, err)
	s.product, err = product.Start(t.Context(), product.Options{
		Binary: binary, Dir: filepath.Join(s.Dir, "product"), Config: config, CA: s.ControlPlane.CA, Args: s.args,
	})
	suite.Check(t, err)
	t.Cleanup(func() {
		if err := s.product.Stop(); err != nil {
			t.Errorf("the product did not stop cleanly: %v", err)
		}
	})
	s.upgrade(t, s.product.URL)
	suite.Check(t, s.product.AwaitCalled(t.Context(), s.ControlPlane.APIServer))
	return s
}

// upgrade installs or upgrades the release with more values or flags, and writes the file that the program reads, if the chart renders it.
func (s *setup) upgrade(t *testing.T, url string, more ...string) {
	t.Helper()
	root, err := project.Root()
	suite.Check(t, err)
	args := []string{
		"upgrade", "--install", product.Name, filepath.Join(root, "charts", product.Name),
		"--namespace=" + product.Name, "--create-namespace", "--kubeconfig=" + s.Kubectl.Kubeconfig,
		"--set=crds.enabled=false,policies.recommended=Off,webhook.followPolicies=true,enforcementProbe.enabled=true",
		"--set=rbac.subjects[0].kind=User,rbac.subjects[0].name=" + user,
		"--set=webhook.url=" + url, "--set=webhook.caBundle=" + base64.StdEncoding.EncodeToString(s.ControlPlane.CA.PEM()),
	}
	for _, value := range more {
		if !strings.HasPrefix(value, "--") {
			value = "--set=" + value
		}
		args = append(args, value)
	}
	command := exec.CommandContext(t.Context(), s.helm, args...)
	home := filepath.Join(s.Dir, "helm")
	command.Env = append(os.Environ(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("helm upgrade: %v\n%s", err, out)
	}
	maps, err := s.Admin.CoreV1().ConfigMaps(product.Name).List(t.Context(), metav1.ListOptions{})
	suite.Check(t, err)
	for i := range maps.Items {
		if data, found := maps.Items[i].Data["conditions.json"]; found {
			suite.Check(t, os.WriteFile(s.file, []byte(data), 0o600))
		}
	}
}

// apply applies policies with kubectl, as an administrator does.
func (s *setup) apply(t *testing.T, policies ...string) {
	t.Helper()
	suite.Check(t, s.Kubectl.Apply(t.Context(), []byte(strings.Join(policies, "\n---\n"))))
}

// policyOf returns a policy, given its name, what it does with violations, and the rest of its spec in YAML flow style.
func policyOf(name, action, spec string) string {
	return fmt.Sprintf("apiVersion: noderestriction.plus/v1alpha1\nkind: NodeRestrictionPolicy\nmetadata: {name: %s}\n"+
		"spec: {validationActions: [%s], %s}", name, action, spec)
}

// awaitGated waits until the condition of a policy is about its generation and has the status, the reason and a text.
func (s *setup) awaitGated(t *testing.T, name string, status metav1.ConditionStatus, reason, text string) {
	t.Helper()
	suite.Eventually(t, recovery, func() error {
		p := &v1alpha1.NodeRestrictionPolicy{}
		if err := s.Policies.Get(t.Context(), client.ObjectKey{Name: name}, p); err != nil {
			return err
		}
		if p.Status == nil {
			return errors.New("there is no status")
		}
		c := meta.FindStatusCondition(p.Status.Conditions, "Gated")
		switch {
		case c == nil:
			return errors.New("there is no condition")
		case c.ObservedGeneration != p.Generation || c.Status != status || c.Reason != reason || !strings.Contains(c.Message, text):
			return fmt.Errorf("policy %s, generation %d: the condition is %+v", name, p.Generation, *c)
		}
		return nil
	})
}

// awaitOutcome waits until a dry run of a write is answered as wanted: an API server notices stored conditions a moment later, and nothing
// else tells which it has.
func (s *setup) awaitOutcome(t *testing.T, c *suite.Client, r suite.Request, want suite.Outcome) {
	t.Helper()
	r.DryRun = true
	suite.Eventually(t, recovery, func() error {
		if a := c.Send(t, r); a.Outcome != want {
			return fmt.Errorf("%s %s %s: want %s, got %s", r.Method, r.Path, r.Body, want, a)
		}
		return nil
	})
}

// stop stops the product, after which nothing answers.
func (s *setup) stop(t *testing.T) {
	t.Helper()
	suite.Check(t, s.product.Stop())
}

// start starts the product again.
func (s *setup) start(t *testing.T) {
	t.Helper()
	suite.Check(t, s.product.Run(t.Context(), s.args...))
	suite.Check(t, s.product.AwaitCalled(t.Context(), s.ControlPlane.APIServer))
}

// metric returns the sum of the product's series with these labels.
func (s *setup) metric(t *testing.T, name string, labels ...string) float64 {
	t.Helper()
	m, err := s.product.Metrics(t.Context())
	suite.Check(t, err)
	return m.Sum(name, labels...)
}

// allowed returns how many writes the product was sent and found nothing wrong with. Probes are denied.
func (s *setup) allowed(t *testing.T) float64 {
	t.Helper()
	return s.metric(t, "node_restriction_plus_evaluations_total", "decision", "allowed")
}

// conditions returns the match conditions of a webhook as JSON.
func (s *setup) conditions(t *testing.T, webhook string) string {
	t.Helper()
	for _, w := range s.Webhooks(t).Webhooks {
		if w.Name == webhook+".noderestriction.plus" {
			data, err := json.Marshal(w.MatchConditions)
			suite.Check(t, err)
			return string(data)
		}
	}
	t.Fatalf("there is no webhook %s", webhook)
	return ""
}

// followed returns the policy of the floor that follows the policies.
func (s *setup) followed(t *testing.T) *admissionregistrationv1.ValidatingAdmissionPolicy {
	t.Helper()
	p, err := s.Admin.AdmissionregistrationV1().ValidatingAdmissionPolicies().Get(t.Context(), floor, metav1.GetOptions{})
	suite.Check(t, err)
	return p
}
