// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package scrapes_test records what Prometheus gets of the product and of an API server, for the test of the dashboard
// (config/observability), and holds the recorded scrapes to what real ones are.
package scrapes_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/kubectl"
	"noderestriction.plus/e2e/product"
)

var update = flag.Bool("update", false, "record the scrapes anew")

// recorded is where the scrapes are.
const recorded = "../../config/observability/testdata"

// setup is a control plane with the product in front of it.
type setup struct {
	server   *controlplane.ControlPlane
	admin    kubernetes.Interface
	product  *product.Product
	kubelets map[string]kubernetes.Interface // by node
}

func TestScrapes(t *testing.T) {
	r := start(t)
	scrapes := map[string]string{}
	for _, number := range []string{"1", "2"} {
		if number == "2" {
			scrapes["program-1"] = r.scrapeProgram(t)
		}
		r.writeJudged(t)
		r.awaitSynced(t)
		if number == "2" {
			scrapes["program-2"] = r.scrapeProgram(t)
		}
		r.writeUnjudged(t)
		r.failMatchCondition(t)
		scrapes["apiserver-"+number] = r.scrapeAPIServer(t)
		check(t, r.product.Run(t.Context(), flags(t)...))
		check(t, r.product.AwaitCalled(t.Context(), r.server.APIServer))
	}
	for name, text := range scrapes {
		path := filepath.Join(recorded, name+".prom")
		if *update {
			check(t, os.WriteFile(path, []byte(text), 0o644))
			continue
		}
		old, err := os.ReadFile(path)
		check(t, err)
		if want, got := shapes(text), shapes(string(old)); !maps.Equal(want, got) {
			t.Errorf("%s is not what is scraped: run go -C e2e test ./scrapes -update\nrecorded: %v\nscraped:  %v",
				path, slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
		}
	}
}

// shapes are the metrics of a scrape, each with the names of its labels.
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

func start(t *testing.T) *setup {
	t.Helper()
	dir := t.TempDir()
	path, err := binaries.Path(t.Context(), t.Output(), binaries.Kubectl())
	check(t, err)
	helm, err := binaries.Helm(t.Context(), t.Output())
	check(t, err)
	binary, err := binaries.Product(t.Context(), t.Output(), binaries.Plain())
	check(t, err)
	r := &setup{kubelets: map[string]kubernetes.Interface{}}
	r.server, err = controlplane.Start(t.Context(), controlplane.Options{Dir: dir, Log: t.Output()})
	check(t, err)
	t.Cleanup(r.server.Stop)
	config, err := r.server.Admin()
	check(t, err)
	r.admin, err = kubernetes.NewForConfig(config)
	check(t, err)
	admin := kubectl.Kubectl{Path: path, Kubeconfig: filepath.Join(dir, "admin.kubeconfig")}
	check(t, controlplane.WriteKubeconfig(admin.Kubeconfig, config))
	r.product, err = product.Install(t.Context(), product.Options{
		Binary: binary, Dir: filepath.Join(dir, "product"), Config: config, CA: r.server.CA, Args: flags(t),
	}, admin, helm, r.server.APIServer)
	check(t, err)
	t.Cleanup(func() { check(t, r.product.Stop()) })
	policies, err := product.Policies(config)
	check(t, err)
	for _, action := range []v1alpha1.ValidationAction{v1alpha1.Deny, v1alpha1.Warn, v1alpha1.Audit} {
		p := &v1alpha1.NodeRestrictionPolicy{}
		p.Name = strings.ToLower(string(action))
		p.Spec.ValidationActions = []v1alpha1.ValidationAction{action}
		p.Spec.Match = &v1alpha1.Match{NodeNames: []v1alpha1.Pattern{v1alpha1.Pattern(p.Name)}}
		p.Spec.Nodes.Finalizers = &v1alpha1.NodeFinalizers{}
		check(t, product.Enforce(t.Context(), policies, p))
		r.addNode(t, p.Name)
	}
	return r
}

// flags switch everything on that has metrics.
func flags(t *testing.T) []string {
	t.Helper()
	return []string{
		"--enforcement-probe", "--enforcement-probe-interval=1s", "--denial-log-file=" + filepath.Join(t.TempDir(), "denials"),
	}
}

func (r *setup) addNode(t *testing.T, name string) {
	t.Helper()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	_, err := r.admin.CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{})
	check(t, err)
	config, err := r.server.Kubelet(name)
	check(t, err)
	r.kubelets[name], err = kubernetes.NewForConfig(config)
	check(t, err)
}

// patch patches the status of a kubelet's own Node.
func (r *setup) patch(t *testing.T, node, patch string, options metav1.PatchOptions) error {
	t.Helper()
	_, err := r.kubelets[node].CoreV1().Nodes().Patch(
		t.Context(), node, types.MergePatchType, []byte(patch), options, "status")
	return err
}

// finalizer is a patch that violates each policy, capacity one that violates none.
func finalizer() string {
	return fmt.Sprintf(`{"metadata":{"finalizers":["example.com/%d"]}}`, time.Now().UnixNano())
}

func capacity() string {
	return fmt.Sprintf(`{"status":{"capacity":{"pods":"%d"}}}`, time.Now().UnixNano()%1e6)
}

// writeJudged makes a write of each outcome.
func (r *setup) writeJudged(t *testing.T) {
	t.Helper()
	if r.patch(t, "deny", finalizer(), metav1.PatchOptions{}) == nil ||
		r.patch(t, "deny", finalizer(), metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}}) == nil {
		t.Error("what a policy denies was not denied")
	}
	check(t, r.patch(t, "warn", finalizer(), metav1.PatchOptions{}))
	check(t, r.patch(t, "audit", finalizer(), metav1.PatchOptions{}))
	check(t, r.patch(t, "deny", capacity(), metav1.PatchOptions{}))
}

// writeUnjudged stops the product and makes a write that is refused without it, and one that passes.
func (r *setup) writeUnjudged(t *testing.T) {
	t.Helper()
	check(t, r.product.Stop())
	if err := r.patch(t, "deny", finalizer(), metav1.PatchOptions{}); err == nil {
		t.Error("what no stock kubelet writes was not refused while the product is away")
	}
	check(t, r.patch(t, "deny", capacity(), metav1.PatchOptions{}))
}

// failMatchCondition makes a write at which the match condition of a webhook cannot be evaluated, which is never so for those
// of the product.
func (r *setup) failMatchCondition(t *testing.T) {
	t.Helper()
	const name = "broken.noderestriction.plus"
	configurations := r.admin.AdmissionregistrationV1().ValidatingWebhookConfigurations()
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
	check(t, err)
	failures := func() string {
		var found string
		for line := range strings.Lines(r.scrapeAPIServer(t)) {
			if strings.HasPrefix(line, "apiserver_admission_match_condition_evaluation_errors_total") {
				found = line
			}
		}
		return found
	}
	before := failures()
	// The API server learns of a configuration a moment after it is stored.
	r.await(t, "a match condition fails", func() error {
		_, err := r.admin.CoreV1().ConfigMaps("default").Create(t.Context(),
			&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "scrapes-"}}, metav1.CreateOptions{})
		check(t, err)
		if failures() == before {
			return fmt.Errorf("it is not counted: %q", before)
		}
		return nil
	})
	check(t, configurations.Delete(t.Context(), name, metav1.DeleteOptions{}))
}

// awaitSynced waits until the product has found its policies to be those of the API server, and a probe has been denied.
func (r *setup) awaitSynced(t *testing.T) {
	t.Helper()
	r.await(t, "policies are compared and enforcement is proved", func() error {
		m, err := r.product.Metrics(t.Context())
		if err != nil {
			return err
		}
		age := float64(time.Now().Unix()) - m.Sum("node_restriction_plus_policies_last_sync_timestamp_seconds")
		proved := m.Sum("node_restriction_plus_enforcement_probe_success")
		if age > 90 || proved != 1 {
			return fmt.Errorf("the policies are %.0f s old, the probe's success is %v", age, proved)
		}
		return nil
	})
}

func (r *setup) await(t *testing.T, what string, holds func() error) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 2*time.Minute, true,
		func(context.Context) (bool, error) {
			last = holds()
			return last == nil, nil
		})
	if err != nil {
		t.Fatalf("%s: %v: %v", what, err, last)
	}
}

// scrapeProgram is what Prometheus gets of the product, without the metrics of its libraries.
func (r *setup) scrapeProgram(t *testing.T) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.product.MetricsURL, http.NoBody)
	check(t, err)
	response, err := http.DefaultClient.Do(request)
	check(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	check(t, err)
	return only(body, func(line string) bool { return strings.HasPrefix(line, "node_restriction_plus_") })
}

// scrapeAPIServer is what Prometheus gets of the API server about the product's webhooks.
func (r *setup) scrapeAPIServer(t *testing.T) string {
	t.Helper()
	body, err := r.admin.Discovery().RESTClient().Get().AbsPath("/metrics").Do(t.Context()).Raw()
	check(t, err)
	return only(body, func(line string) bool {
		return strings.HasPrefix(line, "apiserver_admission_") && strings.Contains(line, `noderestriction.plus"`)
	})
}

// only keeps the lines for which keep holds, without comments.
func only(scrape []byte, keep func(string) bool) string {
	var b strings.Builder
	for line := range bytes.Lines(scrape) {
		if keep(string(line)) {
			b.Write(line)
		}
	}
	return b.String()
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
