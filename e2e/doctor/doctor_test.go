// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package doctor_test runs the command doctor against real API servers: what must be ok in a cluster as kubeadm sets it up, what is found
// after it was broken, that each fix works as it is printed, and which permissions a user lacks.
package doctor_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/doctor"
	"noderestriction.plus/internal/doctor/checks"
)

var update = flag.Bool("update", false, "record the stock cluster for the tests of the checks")

const (
	node = "worker-1"
	// recorded is the snapshot of the stock cluster, with which the tests of the checks begin.
	recorded = "../../internal/doctor/checks/testdata/stock.yaml"
)

// TestMain discards the log of controller-runtime's client.
func TestMain(m *testing.M) { suite.Main(m) }

// cluster is a control plane as kubeadm sets it up, with the product.
type cluster struct {
	*suite.Suite
	path string // with kubectl in it
}

func TestDoctor(t *testing.T) {
	c := newCluster(t)
	t.Run("stock", c.testStock)
	t.Run("few permissions", c.testPermissions)
	t.Run("the printed role", c.testRole)
	t.Run("API servers", c.testAPIServers)
	t.Run("broken and fixed", c.testFixes)
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{Suite: suite.New(t, "doctor", controlplane.APIServerOptions{}), path: t.TempDir()}
	suite.Check(t, os.Symlink(c.Kubectl.Path, filepath.Join(c.path, "kubectl")))
	c.apply(t, "kubeadm.yaml")
	// The kubelet registers itself, so that its writes are in the audit log.
	config, err := c.ControlPlane.Kubelet(node)
	suite.Check(t, err)
	kubelet, err := kubernetes.NewForConfig(config)
	suite.Check(t, err)
	stored, err := kubelet.CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name: node, Annotations: map[string]string{"kubeadm.alpha.kubernetes.io/cri-socket": "unix:///run/containerd/containerd.sock"},
	}}, metav1.CreateOptions{})
	suite.Check(t, err)
	version, err := binaries.KubeAPIServer().Version()
	suite.Check(t, err)
	stored.Status.NodeInfo.KubeletVersion = "v" + strings.TrimPrefix(version, "v")
	_, err = kubelet.CoreV1().Nodes().UpdateStatus(t.Context(), stored, metav1.UpdateOptions{})
	suite.Check(t, err)
	p := c.MustInstall(t, product.Options{})
	helm, err := binaries.Helm(t.Context(), t.Output())
	suite.Check(t, err)
	suite.Check(t, p.Configure(t.Context(), c.Kubectl, helm, "policies.recommended=Deny"))
	return c
}

// apply applies a file of testdata, as a user would.
func (c *cluster) apply(t *testing.T, name string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	suite.Check(t, err)
	_, err = c.Kubectl.Run(t.Context(), data, "apply", "--server-side", "--force-conflicts", "--filename=-")
	suite.Check(t, err)
}

// answer is what the command prints.
type answer struct {
	code         int
	text, errors string
}

// run runs the command.
func run(ctx context.Context, args ...string) answer {
	root := command.Plugin(command.ByKubectl, doctor.Command())
	var out, errs bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&errs)
	root.SetArgs(append([]string{"doctor", "--qps=1000"}, args...))
	err := root.ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintln(&errs, err)
	}
	return answer{command.ExitCode(err), out.String(), errs.String()}
}

// diagnose runs the command for a kubeconfig.
func diagnose(t *testing.T, kubeconfig string, args ...string) (map[string]checks.Finding, int) {
	t.Helper()
	a := run(t.Context(), append([]string{"--kubeconfig", kubeconfig, "-o", "json"}, args...)...)
	var report doctor.Report
	if err := json.Unmarshal([]byte(a.text), &report); err != nil {
		t.Fatalf("exit code %d: %v: %s", a.code, err, a.errors)
	}
	findings := map[string]checks.Finding{}
	for _, f := range report.Items {
		findings[f.Check] = f
	}
	return findings, a.code
}

// admin are the arguments for everything that does not need a kubelet.
func admin() []string { return []string{"--probe", "--secrets", "--node", node} }

// stock are the verdicts of the stock cluster. All others are ok.
func stock() map[string]checks.Verdict {
	all := map[string]checks.Verdict{}
	for _, c := range checks.All() {
		all[c.ID] = checks.OK
	}
	all["mint-node"] = checks.Weak          // a bootstrap token gets the certificate of any node
	all["kubelet-config"] = checks.Weak     // kubeadm's default is that kubelets sign their serving certificates
	all["kubelet-live"] = checks.CannotTell // without --kubelets
	all["wiring"] = checks.Weak             // the CA of the tests ends within a day
	return all
}

// differs compares the verdicts with those that are wanted.
func differs(findings map[string]checks.Finding, want map[string]checks.Verdict) error {
	var wrong []string
	for _, id := range slices.Sorted(maps.Keys(want)) {
		if f := findings[id]; f.Verdict != want[id] {
			wrong = append(wrong, fmt.Sprintf("%s is %q, want %q: %+v %+v %q", id, f.Verdict, want[id], f.Evidence, f.Missing, f.Notes))
		}
	}
	if wrong != nil {
		return fmt.Errorf("%s", strings.Join(wrong, "\n"))
	}
	return nil
}

const wait = 30 * time.Second

func (c *cluster) testStock(t *testing.T) {
	suite.Eventually(t, wait, func() error { // until the policy has a status
		findings, code := diagnose(t, c.Kubectl.Kubeconfig, admin()...)
		if code != 0 {
			return fmt.Errorf("exit code %d, want 0: %w", code, differs(findings, stock()))
		}
		return differs(findings, stock())
	})
	if *update {
		c.record(t)
	}
}

// testFixes breaks everything at once, and runs what the command prints, line by line.
func (c *cluster) testFixes(t *testing.T) {
	c.apply(t, "broken.yaml")
	suite.Check(t, c.ChangeWebhooks(t.Context(), func(w *admissionregistrationv1.ValidatingWebhook) {
		switch w.Name {
		case "gate.noderestriction.plus":
			ignore := admissionregistrationv1.Ignore
			w.FailurePolicy = &ignore
			w.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"nobody": "has"}}
			w.MatchConditions = append(w.MatchConditions, admissionregistrationv1.MatchCondition{Name: "nothing", Expression: "false"})
		case "status.noderestriction.plus":
			w.Rules = w.Rules[1:]
		}
	}))
	const floor = "node-restriction-plus-recommended"
	_, err := c.Admin.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings().Patch(t.Context(), floor, types.MergePatchType,
		[]byte(`{"spec":{"validationActions":["Audit"]}}`), metav1.PatchOptions{})
	suite.Check(t, err)

	broken := stock()
	for _, id := range []string{
		"node-widened", "system-node-bound", "broad-groups", "anonymous", "become-node", "mint-node", "bootstrap-tokens",
		"csr-other-signers", "nodes-proxy", "node-agents", "bypass-us", "wiring", "others-in-path", "kubelet-config", "half-identities",
	} {
		broken[id] = checks.Bad
	}
	broken["deny-authorizer"] = checks.Weak
	broken["distribution"] = checks.Weak
	suite.Eventually(t, wait, func() error { // until the authorizer knows the roles
		findings, code := diagnose(t, c.Kubectl.Kubeconfig, admin()...)
		if code != command.CodeNo {
			return fmt.Errorf("exit code %d, want %d", code, command.CodeNo)
		}
		return differs(findings, broken)
	})
	a := run(t.Context(), append([]string{"--kubeconfig", c.Kubectl.Kubeconfig}, admin()...)...)
	fixes := printed(a.text, "      fix:")
	if len(fixes) < 12 {
		t.Errorf("only %d fixes are printed:\n%s", len(fixes), a.text)
	}
	for _, fix := range fixes {
		if out, err := c.shell(t, fix); err != nil {
			t.Errorf("%s\n%v: %s", fix, err, out)
		}
	}
	want := stock()
	delete(want, "kubelet-config") // better than before
	delete(want, "mint-node")
	suite.Eventually(t, wait, func() error {
		findings, _ := diagnose(t, c.Kubectl.Kubeconfig, admin()...)
		for _, id := range []string{"kubelet-config", "mint-node"} {
			if v := findings[id].Verdict; v != checks.OK {
				return fmt.Errorf("%s is %s: %+v", id, v, findings[id].Evidence)
			}
		}
		return differs(findings, want)
	})
	if _, err := os.Stat("broken"); err == nil {
		t.Error("a name was run as a command")
	}
}

// printed returns the commands that follow a line of the text that begins so.
func printed(text, before string) []string {
	var commands []string
	lines := strings.Split(text, "\n")
	for i, line := range lines[:len(lines)-1] {
		if strings.HasPrefix(line, before) && strings.HasSuffix(line, ":") {
			commands = append(commands, strings.TrimSpace(lines[i+1]))
		}
	}
	return commands
}

// shell runs a line as the administrator.
func (c *cluster) shell(t *testing.T, line string) ([]byte, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
	cmd.Env = append(os.Environ(), "PATH="+c.path+":"+os.Getenv("PATH"), "KUBECONFIG="+c.Kubectl.Kubeconfig, "HOME="+c.path)
	return cmd.CombinedOutput()
}

// kubeconfig returns the kubeconfig of a user.
func (c *cluster) kubeconfig(t *testing.T, server *controlplane.APIServer, user string, groups ...string) string {
	t.Helper()
	config, err := server.User(user, groups...)
	suite.Check(t, err)
	path := filepath.Join(t.TempDir(), "kubeconfig")
	suite.Check(t, controlplane.WriteKubeconfig(path, config))
	return path
}

// testPermissions runs the command as somebody who may nothing, grants what it prints, and runs it again until nothing is missing.
func (c *cluster) testPermissions(t *testing.T) {
	path := c.kubeconfig(t, c.ControlPlane.APIServer, "little")
	findings, code := diagnose(t, path, "--probe", "--secrets", "--kubelets=1")
	if code != command.CodeNoAnswer {
		t.Errorf("no check can tell anything: exit code %d, want %d", code, command.CodeNoAnswer)
	}
	if v := findings["system-node-bound"]; v.Verdict != checks.CannotTell || len(v.Missing) != 4 ||
		v.Missing[0].Permission != "list clusterroles.rbac.authorization.k8s.io" || v.Missing[0].Command == "" {
		t.Errorf("without permissions: %+v", v)
	}
	const rounds = 4 // some permissions are needed only to see what others are
	for range rounds {
		a := run(t.Context(), "--kubeconfig", path, "--probe", "--secrets", "--kubelets=1")
		grants := printed(a.text, "      grant:")
		if len(grants) == 0 {
			break
		}
		for _, grant := range grants {
			if out, err := c.shell(t, grant); err != nil {
				t.Fatalf("%s\n%v: %s", grant, err, out)
			}
		}
		suite.Eventually(t, wait, func() error { // until the authorizer knows the roles
			next := printed(run(t.Context(), "--kubeconfig", path, "--probe", "--secrets", "--kubelets=1").text, "      grant:")
			for _, grant := range next {
				if slices.Contains(grants, grant) {
					return fmt.Errorf("still missing: %s", grant)
				}
			}
			return nil
		})
	}
	want := stock()
	delete(want, "kubelet-live") // there is no kubelet behind the Node
	delete(want, "node-restriction")
	suite.Eventually(t, wait, func() error {
		findings, _ := diagnose(t, path, "--probe", "--secrets", "--kubelets=1")
		for id, f := range findings {
			for _, m := range f.Missing {
				if m.Permission != "" {
					return fmt.Errorf("%s still lacks %s", id, m.Permission)
				}
			}
		}
		return differs(findings, want)
	})
	out, err := c.shell(t, "kubectl get clusterrolebindings -o name | grep nrp-doctor | xargs kubectl delete")
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// testRole tests that the printed role is enough.
func (c *cluster) testRole(t *testing.T) {
	const user = "role-user"
	role := run(t.Context(), "--rbac", "--probe", "--secrets")
	_, err := c.Kubectl.Run(t.Context(), []byte(role.text), "apply", "--filename=-")
	suite.Check(t, err)
	_, err = c.Kubectl.Run(t.Context(), nil, "create", "clusterrolebinding", user, "--clusterrole="+doctor.UserAgent, "--user="+user)
	suite.Check(t, err)
	path := c.kubeconfig(t, c.ControlPlane.APIServer, user)
	suite.Eventually(t, wait, func() error {
		findings, code := diagnose(t, path, admin()...)
		if code != 0 {
			return fmt.Errorf("exit code %d: %w", code, differs(findings, stock()))
		}
		return differs(findings, stock())
	})
	_, err = c.Kubectl.Run(t.Context(), nil, "delete", "clusterrolebinding", user)
	suite.Check(t, err)
}

// testAPIServers starts API servers with other flags beside the stock one.
func (c *cluster) testAPIServers(t *testing.T) {
	deny := filepath.Join(t.TempDir(), "authorization.yaml")
	suite.Check(t, os.WriteFile(deny, []byte(denying(c.Kubectl.Kubeconfig)), 0o600))
	alone := filepath.Join(t.TempDir(), "authorization.yaml")
	suite.Check(t, os.WriteFile(alone, []byte("apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\n"+
		"authorizers: [{type: RBAC, name: rbac}]\n"), 0o600))
	for _, test := range []struct {
		name string
		o    controlplane.APIServerOptions
		want map[string]checks.Verdict
	}{
		{"AlwaysAllow", controlplane.APIServerOptions{Args: []string{"--authorization-mode=AlwaysAllow"}}, map[string]checks.Verdict{
			"authz-always-allow": checks.Bad, "node-widened": checks.Bad, "node-authorizer": checks.CannotTell,
		}},
		{"RBAC alone, no anonymous requests", controlplane.APIServerOptions{
			AuthorizationConfig: alone, Args: []string{"--anonymous-auth=false"},
		}, map[string]checks.Verdict{
			"authz-always-allow": checks.OK, "node-authorizer": checks.Bad, "anonymous": checks.OK, "node-restriction": checks.CannotTell,
		}},
		{"no NodeRestriction, no audit log", controlplane.APIServerOptions{
			WithoutNodeRestriction: true, Args: []string{"--audit-policy-file=", "--audit-log-path="},
		}, map[string]checks.Verdict{"node-restriction": checks.Bad, "node-authorizer": checks.OK, "audit": checks.Bad}},
		{"an authorizer that denies", controlplane.APIServerOptions{AuthorizationConfig: deny}, map[string]checks.Verdict{
			"deny-authorizer": checks.OK, "node-authorizer": checks.OK, "authz-always-allow": checks.OK, "node-widened": checks.OK,
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			server, err := c.ControlPlane.AddAPIServer(t.Context(), test.o)
			suite.Check(t, err)
			path := c.kubeconfig(t, server, "admin", "system:masters")
			suite.Eventually(t, wait, func() error { // until it knows the roles, and calls the webhook
				findings, _ := diagnose(t, path, admin()...)
				return differs(findings, test.want)
			})
		})
	}
}

// denying is an AuthorizationConfiguration that denies kubelets what the Node authorizer does not allow. The webhook is never called.
func denying(kubeconfig string) string {
	return `apiVersion: apiserver.config.k8s.io/v1
kind: AuthorizationConfiguration
authorizers:
- {type: Node, name: node}
- type: Webhook
  name: node-restriction-plus
  webhook:
    timeout: 1s
    subjectAccessReviewVersion: v1
    matchConditionSubjectAccessReviewVersion: v1
    failurePolicy: Deny
    connectionInfo: {type: KubeConfigFile, kubeConfigFile: "` + kubeconfig + `"}
    matchConditions:
    - expression: request.user.startsWith('system:node:')
    - expression: "{'': true}['kubelets may do only what the Node authorizer allows; ' + request.user]"
- {type: RBAC, name: rbac}
`
}
