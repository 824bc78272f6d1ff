// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package scrapes_test records what Prometheus scrapes from the product and from an API server, for the test of the dashboard
// (config/observability), and compares the recorded scrapes with real ones.
package scrapes_test

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/process"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/suite"
)

var update = flag.Bool("update", false, "record the scrapes again")

// recorded is the directory of the scrapes.
const recorded = "../../config/observability/testdata"

// TestMain discards the log of controller-runtime's client.
func TestMain(m *testing.M) { suite.Main(m) }

// setup is a control plane with the product in front of it.
type setup struct {
	*suite.Suite
	product    *product.Product
	conditions string                   // the file of --base-conditions
	kubelets   map[string]*suite.Client // by node
	entry      *suite.Entry
}

func TestScrapes(t *testing.T) {
	s := newSetup(t)
	scrapes := map[string]string{}
	for _, number := range []string{"1", "2"} {
		if number == "2" {
			scrapes["program-1"] = s.scrapeProgram(t)
		}
		s.writeEvaluated(t)
		s.awaitSynced(t)
		if number == "2" {
			scrapes["program-2"] = s.scrapeProgram(t)
		}
		s.writeUnevaluated(t)
		s.failMatchCondition(t)
		s.readSecrets(t)
		s.failReload(t, number)
		scrapes["apiserver-"+number] = s.scrapeAPIServer(t)
		suite.Check(t, s.product.Run(t.Context(), s.flags(t)...))
		suite.Check(t, s.product.AwaitCalled(t.Context(), s.ControlPlane.APIServer))
	}
	for name, text := range scrapes {
		path := filepath.Join(recorded, name+".prom")
		if *update {
			suite.Check(t, os.WriteFile(path, []byte(text), 0o644))
			continue
		}
		old, err := os.ReadFile(path)
		suite.Check(t, err)
		if want, got := shapes(text), shapes(string(old)); !maps.Equal(want, got) {
			t.Errorf("%s is not current: run go -C e2e test ./scrapes -update\nrecorded: %v\nscraped:  %v",
				path, slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
		}
	}
}

// shapes returns the metrics of a scrape, each with the names of its labels.
func shapes(scrape string) map[string]bool {
	all := map[string]bool{}
	for line := range strings.Lines(scrape) {
		name, rest, _ := strings.Cut(line, "{")
		if strings.HasPrefix(line, "#") {
			continue
		}
		if rest == "" {
			name, _, _ = strings.Cut(line, " ")
		}
		labels := []string{name}
		for pair := range strings.SplitSeq(strings.Split(rest, "} ")[0], `",`) {
			label, _, _ := strings.Cut(pair, "=")
			labels = append(labels, label)
		}
		all[strings.Join(labels, " ")] = true
	}
	return all
}

func newSetup(t *testing.T) *setup {
	t.Helper()
	s := &setup{kubelets: map[string]*suite.Client{}, entry: suite.NewEntry(t, suite.TempDir(t, "scrapes-entry"), "")}
	protected, err := os.ReadFile(s.entry.Config)
	suite.Check(t, err)
	s.entry.Write(t, suite.WithoutEntry)
	s.Suite = suite.New(t, "scrapes", controlplane.APIServerOptions{AuthorizationConfig: s.entry.Config})
	s.install(t)
	policies := []*v1alpha1.NodeRestrictionPolicy{onlyOwnAddresses()}
	for _, action := range []v1alpha1.ValidationAction{v1alpha1.Deny, v1alpha1.Warn, v1alpha1.Audit} {
		node := strings.ToLower(string(action))
		s.CreateNode(t, node)
		s.kubelets[node] = suite.Kubelet(t, s.ControlPlane.APIServer, node)
		p := product.DenyFinalizers(node, v1alpha1.Pattern(node))
		p.Spec.ValidationActions = []v1alpha1.ValidationAction{action}
		policies = append(policies, p)
	}
	for _, p := range policies {
		suite.Check(t, product.Enforce(t.Context(), s.Policies, p))
	}
	suite.Check(t, product.AwaitGated(t.Context(), s.Policies, "deny"))
	suite.Eventually(t, time.Minute, func() error { return s.product.Ready(t.Context()) }) // it reads the addresses of all Nodes
	s.protect(t, string(protected))
	return s
}

// install installs the product so that its match conditions follow the policies.
func (s *setup) install(t *testing.T) {
	t.Helper()
	helm, err := binaries.Helm(t.Context(), t.Output())
	suite.Check(t, err)
	s.conditions = filepath.Join(s.Dir, "conditions.json")
	suite.Check(t, product.WriteBaseConditions(t.Context(), helm, s.conditions))
	s.product = s.MustInstall(t, product.Options{Args: s.flags(t)})
	suite.Check(t, s.product.Configure(t.Context(), s.Kubectl, helm, "webhook.followPolicies=true"))
}

// onlyOwnAddresses returns a policy that CEL cannot express: a lookup says whether another Node has an address.
func onlyOwnAddresses() *v1alpha1.NodeRestrictionPolicy {
	p := &v1alpha1.NodeRestrictionPolicy{}
	p.Name = "addresses"
	p.Spec.ValidationActions = []v1alpha1.ValidationAction{v1alpha1.Deny}
	p.Spec.Nodes.Addresses = &v1alpha1.NodeAddresses{OfOtherNodes: v1alpha1.AccessDeny}
	return p
}

// flags returns flags that switch on everything with metrics.
func (s *setup) flags(t *testing.T) []string {
	t.Helper()
	return []string{
		"--enforcement-probe", "--enforcement-probe-interval=1s", "--base-conditions=" + s.conditions,
		"--wiring-check-configuration=" + product.Name, "--wiring-check-interval=1s", "--denial-log-file=" + filepath.Join(t.TempDir(), "denials"),
	}
}

// addFinalizer sends a write that violates the policy of the node.
func (s *setup) addFinalizer(t *testing.T, node string, dryRun bool) suite.Answer {
	t.Helper()
	request := suite.PatchNodeStatus(node, fmt.Sprintf(`{"metadata":{"finalizers":["example.com/%d"]}}`, time.Now().UnixNano()))
	request.DryRun = dryRun
	return s.kubelets[node].Send(t, request)
}

// changeAddress sends a write that violates no policy. The API server cannot decide that, and asks the product.
func (s *setup) changeAddress(t *testing.T, node string) {
	t.Helper()
	n := time.Now().UnixNano()
	s.kubelets[node].MustSend(t, suite.PatchNodeStatus(node,
		fmt.Sprintf(`{"status":{"addresses":[{"type":"InternalIP","address":"10.%d.%d.%d"}]}}`, byte(n>>16), byte(n>>8), byte(n))))
}

// writeEvaluated sends a write of each outcome.
func (s *setup) writeEvaluated(t *testing.T) {
	t.Helper()
	for _, dryRun := range []bool{false, true} {
		if a := s.addFinalizer(t, "deny", dryRun); a.Outcome != suite.Denied {
			t.Errorf("dry run %t: want a denial, got %s", dryRun, a)
		}
	}
	for _, node := range []string{"warn", "audit"} {
		if a := s.addFinalizer(t, node, false); a.Outcome != suite.Allowed {
			t.Errorf("%s: got %s", node, a)
		}
	}
	s.changeAddress(t, "deny")
}

// writeUnevaluated stops the product and sends a write that is refused without it, and one that passes.
func (s *setup) writeUnevaluated(t *testing.T) {
	t.Helper()
	suite.Check(t, s.product.Stop())
	if a := s.addFinalizer(t, "deny", false); a.Outcome != suite.Unanswered {
		t.Errorf("a write that no stock kubelet sends was not refused while the product is down: %s", a)
	}
	s.changeAddress(t, "deny")
}

// failMatchCondition sends a write for which the match condition of a webhook cannot be evaluated, which never happens with the
// product's own conditions.
func (s *setup) failMatchCondition(t *testing.T) {
	t.Helper()
	const name = "broken.noderestriction.plus"
	configurations := s.Admin.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	_, err := configurations.Create(t.Context(), &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name: name, FailurePolicy: new(admissionregistrationv1.Ignore),
			ClientConfig:            admissionregistrationv1.WebhookClientConfig{URL: new("https://127.0.0.1:1/")},
			SideEffects:             new(admissionregistrationv1.SideEffectClassNone),
			AdmissionReviewVersions: []string{"v1"},
			MatchConditions: []admissionregistrationv1.MatchCondition{{
				Name: "broken", Expression: `object.metadata.labels["missing"] == ""`,
			}},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
				Rule: admissionregistrationv1.Rule{
					APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"},
				},
			}},
		}},
	}, metav1.CreateOptions{})
	suite.Check(t, err)
	failures := func() string {
		var found string
		for line := range strings.Lines(s.scrapeAPIServer(t)) {
			if strings.HasPrefix(line, "apiserver_admission_match_condition_evaluation_errors_total") {
				found = line
			}
		}
		return found
	}
	before := failures()
	// The API server notices a configuration a moment after it is stored.
	suite.Eventually(t, 2*time.Minute, func() error {
		_, err := s.Admin.CoreV1().ConfigMaps("default").Create(t.Context(),
			&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "scrapes-"}}, metav1.CreateOptions{})
		suite.Check(t, err)
		if failures() == before {
			return fmt.Errorf("the failure is not counted: %q", before)
		}
		return nil
	})
	suite.Check(t, configurations.Delete(t.Context(), name, metav1.DeleteOptions{}))
}

// awaitSynced waits until the product has compared its policies with those of the API server, a probe was denied, the wiring was
// compared, and the match conditions are those of the policies.
func (s *setup) awaitSynced(t *testing.T) {
	t.Helper()
	suite.Eventually(t, 2*time.Minute, func() error {
		m, err := s.product.Metrics(t.Context())
		if err != nil {
			return err
		}
		age := float64(time.Now().Unix()) - m.Sum("node_restriction_plus_policies_last_sync_timestamp_seconds")
		proved := m.Sum("node_restriction_plus_enforcement_probe_success")
		compared := m.Sum("node_restriction_plus_wiring_check_success")
		current := m.Sum("node_restriction_plus_conditions_current")
		if age > 90 || proved != 1 || compared != 1 || current != 1 {
			return fmt.Errorf("the last sync was %.0f s ago, the success of the probe is %v, of the comparison %v; current conditions: %v",
				age, proved, compared, current)
		}
		return nil
	})
}

// scrapeProgram returns what Prometheus scrapes from the product, without the metrics of its libraries.
func (s *setup) scrapeProgram(t *testing.T) string {
	t.Helper()
	var body bytes.Buffer
	suite.Check(t, process.CopyURL(t.Context(), &body, s.product.MetricsURL))
	return only(body.Bytes(), func(line string) bool { return strings.HasPrefix(line, "node_restriction_plus_") })
}

// scrapeAPIServer returns what Prometheus scrapes from the API server about the product's webhooks and the entry.
func (s *setup) scrapeAPIServer(t *testing.T) string {
	t.Helper()
	body, err := s.Admin.Discovery().RESTClient().Get().AbsPath("/metrics").Do(t.Context()).Raw()
	suite.Check(t, err)
	return only(body, func(line string) bool {
		switch {
		case strings.HasPrefix(line, "apiserver_admission_"):
			return strings.Contains(line, `noderestriction.plus"`)
		case strings.HasPrefix(line, "apiserver_authorization_match_condition_"):
			return strings.Contains(line, `name="`+product.Name+`"`)
		}
		return strings.HasPrefix(line, "apiserver_authorization_decisions_total") || strings.HasPrefix(line, reloads)
	})
}

// only returns the lines that keep selects.
func only(scrape []byte, keep func(string) bool) string {
	var b strings.Builder
	for line := range bytes.Lines(scrape) {
		if keep(string(line)) {
			b.Write(line)
		}
	}
	return b.String()
}
