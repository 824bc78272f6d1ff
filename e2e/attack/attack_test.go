// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package attack_test runs the command attack against a real API server: who stops each attack, without the product and with it, and
// that nothing is stored.
package attack_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/project"
	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/internal/attack"
	"noderestriction.plus/internal/command"
)

var update = flag.Bool("update", false, "rewrite the tables in testdata")

const node, other = "worker-1", "worker-2"

// TestMain discards the log of controller-runtime's client.
func TestMain(m *testing.M) { suite.Main(m) }

func TestAttacks(t *testing.T) {
	s := suite.New(t, "attack", controlplane.APIServerOptions{})
	c := &cluster{Suite: s}
	var err error
	c.open, err = s.ControlPlane.AddAPIServer(t.Context(), controlplane.APIServerOptions{WithoutNodeRestriction: true})
	suite.Check(t, err)
	c.store(t)
	before := c.versions(t)
	t.Run("stock", c.testStock)
	t.Run("permissions", c.testPermissions)
	c.MustInstall(t, product.Options{}, s.ControlPlane.APIServer, c.open)
	t.Run("policies", c.testPolicies)
	t.Run("other policies", c.testVAP)
	t.Run("command", c.testCommand)
	t.Run("helm test", c.testHelmTest)
	t.Run("without webhooks", c.testWithoutWebhooks)
	c.checkVersions(t, before)
}

// cluster has an API server as kubeadm sets it up, and one without NodeRestriction.
type cluster struct {
	*suite.Suite
	open *controlplane.APIServer
}

// store stores two Nodes and their pods.
func (c *cluster) store(t *testing.T) {
	t.Helper()
	core := c.Admin.CoreV1()
	for i, name := range []string{node, other} {
		stored, err := core.Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
			"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
			"beta.kubernetes.io/os": "linux", "beta.kubernetes.io/arch": "amd64",
		}}}, metav1.CreateOptions{})
		suite.Check(t, err)
		stored.Status = corev1.NodeStatus{
			Addresses:       []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: fmt.Sprintf("10.0.0.%d", i+1)}},
			Conditions:      []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
			NodeInfo:        corev1.NodeSystemInfo{Architecture: "amd64", OperatingSystem: "linux", KubeletVersion: "v1.37.2"},
			DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: 10250}},
		}
		_, err = core.Nodes().UpdateStatus(t.Context(), stored, metav1.UpdateOptions{})
		suite.Check(t, err)
	}
	_, err := core.PersistentVolumeClaims(metav1.NamespaceDefault).Create(t.Context(), &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "data"},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
			},
		},
	}, metav1.CreateOptions{})
	suite.Check(t, err)
	for _, pod := range []struct {
		name, node string
		phase      corev1.PodPhase
		finalizers []string
	}{
		{"web", node, corev1.PodRunning, nil},
		{"done", node, corev1.PodSucceeded, nil},
		{"job", node, corev1.PodRunning, []string{"batch.kubernetes.io/job-tracking"}},
		{"elsewhere", other, corev1.PodRunning, nil},
	} {
		stored, err := core.Pods(metav1.NamespaceDefault).Create(t.Context(), &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: pod.name, Labels: map[string]string{"app": "web"}, Finalizers: pod.finalizers},
			Spec: corev1.PodSpec{
				NodeName: pod.node, Containers: []corev1.Container{{Name: "c", Image: "registry.example.com/c"}},
				Volumes: []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
					PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"},
				}}},
			},
		}, metav1.CreateOptions{})
		suite.Check(t, err)
		stored.Status.Phase = pod.phase
		_, err = core.Pods(metav1.NamespaceDefault).UpdateStatus(t.Context(), stored, metav1.UpdateOptions{})
		suite.Check(t, err)
	}
}

// cordon sets whether the Node is cordoned.
func (c *cluster) cordon(t *testing.T, cordoned bool) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"spec":{"unschedulable":%v}}`, cordoned)
	_, err := c.Admin.CoreV1().Nodes().Patch(t.Context(), node, types.MergePatchType, patch, metav1.PatchOptions{})
	suite.Check(t, err)
}

// run runs the command as the administrator, who impersonates the kubelet.
func run(t *testing.T, server *controlplane.APIServer) *attack.Report {
	t.Helper()
	config, err := server.Admin()
	suite.Check(t, err)
	var report *attack.Report
	suite.Eventually(t, 30*time.Second, func() error { // until the API server knows a CRD
		report, err = attack.Run(suite.Within(t, time.Minute), config, attack.Options{AsNode: node})
		return err
	})
	return report
}

// stoppers returns who stopped each attack.
func stoppers(r *attack.Report) map[string]string {
	all := map[string]string{}
	for _, item := range r.Items {
		all[item.Attack] = item.StoppedBy
	}
	return all
}

// catalogued is who stops each attack in stock Kubernetes, as the catalogue says. Attacks that need a cordoned Node, another Node state
// or a policy are not tried.
func catalogued(cordoned bool) map[string]string {
	all := map[string]string{}
	for _, a := range attack.Catalogue() {
		by := string(a.Stock)
		if a.Stock == attack.Nobody {
			by = "nobody"
		}
		all[a.ID] = by
	}
	all["register-while-locked-down"] = string(attack.NotTried)
	if cordoned {
		all["cordon-own-node"] = string(attack.NotTried)
	} else {
		all["uncordon-own-node"] = string(attack.NotTried)
	}
	return all
}

func compare(t *testing.T, what string, r *attack.Report, want map[string]string) {
	t.Helper()
	for _, item := range r.Items {
		if want[item.Attack] != item.StoppedBy {
			t.Errorf("%s: %s: stopped by %s, want %s: %s", what, item.Attack, item.Stopper, want[item.Attack], item.Detail)
		}
	}
	if len(r.Items) != len(want) {
		t.Errorf("%s: %d results, want %d", what, len(r.Items), len(want))
	}
}

// testStock checks the column of the catalogue about Kubernetes without the product, which is then a fact.
func (c *cluster) testStock(t *testing.T) {
	for _, cordoned := range []bool{true, false} {
		c.cordon(t, cordoned)
		r := run(t, c.ControlPlane.APIServer)
		compare(t, fmt.Sprintf("cordoned %v", cordoned), r, catalogued(cordoned))
		if err := r.Err(); err != nil || !r.PoliciesKnown || len(r.Policies) > 0 {
			t.Errorf("cordoned %v: %v, policies %v", cordoned, err, r.Policies)
		}
	}
	config, err := c.ControlPlane.Kubelet(node)
	suite.Check(t, err)
	options := attack.Options{OtherNode: other, OtherPod: "default/elsewhere"}
	r, err := attack.Run(suite.Within(t, time.Minute), config, options)
	suite.Check(t, err)
	want := catalogued(false)
	want["take-address-of-another"] = string(attack.NotTried)       // a kubelet cannot read another Node
	want["certificate-for-pod-elsewhere"] = string(attack.NotTried) // nor the UID of a pod there
	compare(t, "the kubelet's own credential", r, want)
	if r.PoliciesKnown || r.Err() != nil {
		t.Errorf("the kubelet knows the policies, or it fails: %v", r.Err())
	}
	for _, item := range run(t, c.open).Items {
		if item.StoppedBy == string(attack.NodeRestriction) {
			t.Errorf("without NodeRestriction: %s: %s", item.Attack, item.Detail)
		}
	}
}

// testPermissions checks that the printed roles are enough, and that less is not.
func (c *cluster) testPermissions(t *testing.T) {
	for _, way := range []string{attack.Constrained, attack.Impersonate} {
		user := "tester-" + way
		config, err := c.ControlPlane.User(user)
		suite.Check(t, err)
		if _, err := attack.Run(suite.Within(t, time.Minute), config, attack.Options{AsNode: node}); err == nil ||
			!strings.Contains(err.Error(), "--rbac prints the permissions") {
			t.Errorf("%s: without permissions: %v", way, err)
		}
		role := attack.Role(node, way)
		role.Name = user
		_, err = c.Admin.RbacV1().ClusterRoles().Create(t.Context(), role, metav1.CreateOptions{})
		suite.Check(t, err)
		_, err = c.Admin.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: user},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: user},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}},
		}, metav1.CreateOptions{})
		suite.Check(t, err)
		var r *attack.Report
		suite.Eventually(t, 10*time.Second, func() error { // until the authorizer knows the role
			r, err = attack.Run(suite.Within(t, time.Minute), config, attack.Options{AsNode: node})
			return err
		})
		compare(t, way, r, catalogued(false))
		if _, err := attack.Run(suite.Within(t, time.Minute), config, attack.Options{AsNode: other}); err == nil {
			t.Errorf("%s: the role is enough for another node", way)
		}
	}
}

// testPolicies compares the results under policies with the tables in testdata, and what changes without NodeRestriction.
func (c *cluster) testPolicies(t *testing.T) {
	c.cordon(t, true)
	for _, name := range []string{"recommended", "strict"} {
		c.enforce(t, name, v1alpha1.Deny)
		r := run(t, c.ControlPlane.APIServer)
		if err := r.Err(); err != nil || len(r.Policies) != 1 {
			t.Errorf("%s: %v, policies %v", name, err, r.Policies)
		}
		checkTable(t, name, r)
		with, without := stoppers(r), stoppers(run(t, c.open))
		for attack, by := range with {
			if by != "NodeRestriction" && without[attack] != by || without[attack] == "NodeRestriction" {
				t.Errorf("%s: %s: stopped by %s, and by %s without NodeRestriction", name, attack, by, without[attack])
			}
		}
		c.enforce(t, name, v1alpha1.Audit)
		compare(t, name+" with Audit", run(t, c.ControlPlane.APIServer), catalogued(true))
		suite.Check(t, product.Retire(t.Context(), c.Policies, name))
	}
}

// enforce enforces a policy of config/policies with an action.
func (c *cluster) enforce(t *testing.T, name string, action v1alpha1.ValidationAction) {
	t.Helper()
	policies, err := suite.ShippedPolicies(name)
	suite.Check(t, err)
	policies[0].Spec.ValidationActions = []v1alpha1.ValidationAction{action}
	suite.Check(t, product.Enforce(t.Context(), c.Policies, policies[0]))
}

// checkTable compares who stopped each attack with a table.
func checkTable(t *testing.T, name string, r *attack.Report) {
	t.Helper()
	table := command.Table{Header: []string{"ATTACK", "STOPPED BY", "WITHOUT US"}}
	for _, item := range r.Items {
		table.Add(item.Attack, item.Stopper, item.WithoutUs)
	}
	var got strings.Builder
	suite.Check(t, table.Write(&got))
	path := filepath.Join("testdata", name+".txt")
	if *update {
		suite.Check(t, os.WriteFile(path, []byte(got.String()), 0o644))
	}
	want, err := os.ReadFile(path)
	suite.Check(t, err)
	if got.String() != string(want) {
		t.Errorf("%s differs; -update rewrites it. Got:\n%s", path, got.String())
	}
}

// testVAP checks that a ValidatingAdmissionPolicy of others is named.
func (c *cluster) testVAP(t *testing.T) {
	c.enforce(t, "recommended", v1alpha1.Deny)
	const objects = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-dedicated}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [UPDATE], resources: [nodes/status]}]
  validations: [{expression: "!('example.com/dedicated' in object.metadata.?labels.orValue({}))", message: denied}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-dedicated}
spec: {policyName: no-dedicated, validationActions: [Deny]}
`
	suite.Check(t, c.Kubectl.Apply(t.Context(), []byte(objects)))
	suite.Eventually(t, 30*time.Second, func() error {
		for _, item := range run(t, c.ControlPlane.APIServer).Items {
			switch {
			case item.Attack != "label-own-node":
			case item.StoppedBy != "VAP" || item.Stopper != `VAP "no-dedicated"` || !strings.Contains(item.Note, "also forbidden by recommended/node-labels"):
				return fmt.Errorf("%+v", item)
			}
		}
		return nil
	})
	_, err := c.Kubectl.Run(t.Context(), nil, "delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", "no-dedicated")
	suite.Check(t, err)
}

// testCommand runs the command itself.
func (c *cluster) testCommand(t *testing.T) {
	cmd := attack.Command()
	var out, errs strings.Builder
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	cmd.SetArgs([]string{"--kubeconfig", c.Kubectl.Kubeconfig, "--as-node", node, "--announce", "-o", "json"})
	suite.Check(t, cmd.ExecuteContext(suite.Within(t, time.Minute)))
	var r attack.Report
	suite.Check(t, json.Unmarshal([]byte(out.String()), &r))
	if r.Kind != "AttackResultList" || len(r.Items) != len(attack.Catalogue()) || !strings.HasPrefix(r.ServerVersion, "v1.") ||
		len(r.Policies) != 1 || r.Policies[0].Name != "recommended" {
		t.Errorf("got %+v", r)
	}
	for _, want := range []string{"begins at ", "ended at ", `as node "worker-1" on https://127.0.0.1:`, attack.UserAgent} {
		if !strings.Contains(errs.String(), want) {
			t.Errorf("the announcement lacks %q: %s", want, errs.String())
		}
	}
}

// testHelmTest runs what the container of helm test runs, as its service account.
func (c *cluster) testHelmTest(t *testing.T) {
	for _, way := range []string{attack.Constrained, attack.Impersonate} {
		h := renderHelmTest(t, way)
		accounts, rbac := c.Admin.CoreV1().ServiceAccounts(h.account.Namespace), c.Admin.RbacV1()
		_, err := accounts.Create(t.Context(), &h.account, metav1.CreateOptions{})
		suite.Check(t, err)
		_, err = rbac.ClusterRoles().Create(t.Context(), &h.role, metav1.CreateOptions{})
		suite.Check(t, err)
		_, err = rbac.ClusterRoleBindings().Create(t.Context(), &h.binding, metav1.CreateOptions{})
		suite.Check(t, err)
		token, err := accounts.CreateToken(t.Context(), h.pod.Spec.ServiceAccountName, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
		suite.Check(t, err)
		config, err := c.ControlPlane.APIServer.Admin()
		suite.Check(t, err)
		config = rest.AnonymousClientConfig(config)
		config.BearerToken = token.Status.Token
		kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
		suite.Check(t, controlplane.WriteKubeconfig(kubeconfig, config))
		t.Setenv("KUBECONFIG", kubeconfig) // instead of the token in the pod
		args := h.pod.Spec.Containers[0].Args
		if args[0] != attack.Command().Name() {
			t.Fatalf("%s: the pod runs %v", way, args)
		}
		var out strings.Builder
		suite.Eventually(t, 30*time.Second, func() error { // until the authorizer knows the role
			out.Reset()
			cmd := attack.Command()
			cmd.SetOut(&out)
			cmd.SetArgs(args[1:])
			return cmd.ExecuteContext(suite.Within(t, time.Minute))
		})
		for _, want := range []string{"recommended/node-labels", "Nothing was written"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: it does not say %q:\n%s", way, want, out.String())
			}
		}
		suite.Check(t, rbac.ClusterRoleBindings().Delete(t.Context(), h.binding.Name, metav1.DeleteOptions{}))
		suite.Check(t, rbac.ClusterRoles().Delete(t.Context(), h.role.Name, metav1.DeleteOptions{}))
		suite.Check(t, accounts.Delete(t.Context(), h.account.Name, metav1.DeleteOptions{}))
	}
}

// helmTest are the objects of the chart's test.
type helmTest struct {
	account corev1.ServiceAccount
	role    rbacv1.ClusterRole
	binding rbacv1.ClusterRoleBinding
	pod     corev1.Pod
}

func renderHelmTest(t *testing.T, way string) *helmTest {
	t.Helper()
	root, err := project.Root()
	suite.Check(t, err)
	helm, err := binaries.Helm(t.Context(), io.Discard)
	suite.Check(t, err)
	out, err := exec.CommandContext(t.Context(), helm, "template", "nrp", filepath.Join(root, "charts", "node-restriction-plus"),
		"--namespace=default", "--show-only=templates/tests/attack.yaml",
		"--set=tests.attack.enabled=true,tests.attack.node="+node+",tests.attack.impersonation="+way).Output()
	suite.Check(t, err)
	h := &helmTest{}
	into := map[string]any{"ServiceAccount": &h.account, "ClusterRole": &h.role, "ClusterRoleBinding": &h.binding, "Pod": &h.pod}
	for document := range strings.SplitSeq(string(out), "\n---\n") {
		var kind metav1.TypeMeta
		suite.Check(t, yaml.Unmarshal([]byte(document), &kind))
		if kind.Kind != "" {
			suite.Check(t, yaml.UnmarshalStrict([]byte(document), into[kind.Kind]))
		}
		delete(into, kind.Kind)
	}
	if len(into) > 0 {
		t.Fatalf("the chart lacks objects: %v", into)
	}
	return h
}

// testWithoutWebhooks checks that the command fails if a policy is in the cluster and nobody enforces it.
func (c *cluster) testWithoutWebhooks(t *testing.T) {
	_, err := c.Kubectl.Run(t.Context(), nil, "delete", "validatingwebhookconfiguration", product.Name)
	suite.Check(t, err)
	suite.Eventually(t, 30*time.Second, func() error {
		r := run(t, c.ControlPlane.APIServer)
		if code := command.ExitCode(r.Err()); code != command.CodeNo {
			return fmt.Errorf("exit code %d: %w", code, r.Err())
		}
		if i := slices.IndexFunc(r.Items, func(i attack.Result) bool { return i.Attack == "label-own-node" }); r.Items[i].StoppedBy != "nobody" {
			return fmt.Errorf("%+v", r.Items[i])
		}
		return nil
	})
}

// resources are what attacks write.
const resources = "nodes,pods,events,persistentvolumeclaims,certificatesigningrequests,csinodes,resourceslices,clusterrolebindings"

// versions returns the objects that attacks could write, with their versions. The test itself cordons the Node, and binds roles.
func (c *cluster) versions(t *testing.T) map[string]string {
	t.Helper()
	out, err := c.Kubectl.Run(t.Context(), nil, "get", resources, "--all-namespaces", "--ignore-not-found",
		`--output=jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.resourceVersion}{"\n"}{end}`)
	suite.Check(t, err)
	all := map[string]string{}
	for line := range strings.Lines(out) {
		name, version, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == "Node/"+node || strings.HasPrefix(name, "Event/") && !strings.HasPrefix(name, "Event/nrp-attack") ||
			strings.HasPrefix(name, "ClusterRoleBinding/") && !strings.Contains(name, "nrp-attack") {
			continue
		}
		all[name] = version
	}
	return all
}

// checkVersions checks that nothing was stored by all these runs.
func (c *cluster) checkVersions(t *testing.T, before map[string]string) {
	t.Helper()
	after := c.versions(t)
	for _, name := range []string{"Pod/web", "Node/" + other, "PersistentVolumeClaim/data"} {
		if before[name] == "" {
			t.Errorf("%s: was not looked at", name)
		}
	}
	for name, version := range after {
		if before[name] != version {
			t.Errorf("%s: was stored: version %s, before %s", name, version, before[name])
		}
	}
	for name := range before {
		if after[name] == "" {
			t.Errorf("%s: is gone", name)
		}
	}
	stored := c.GetNode(t, node)
	if len(stored.Labels) != 5 || len(stored.Annotations) > 0 || len(stored.Finalizers) > 0 || len(stored.Status.Addresses) != 1 {
		t.Errorf("the Node was changed: %+v", stored)
	}
}
