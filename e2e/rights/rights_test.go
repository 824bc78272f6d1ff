// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package rights_test runs the command rights against real API servers: every cell of the table of the Node authorizer, and widenings by
// every kind of authorizer.
package rights_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/nodeauthorizer"
	"noderestriction.plus/internal/rights"
)

const node = "worker-1"

// TestMain discards the log of controller-runtime's client.
func TestMain(m *testing.M) { suite.Main(m) }

func TestRights(t *testing.T) {
	s := suite.New(t, "rights", controlplane.APIServerOptions{AuditReads: true})
	c := &cluster{Suite: s}
	c.store(t)
	t.Run("every cell", c.testCells)
	t.Run("widenings", c.testWidenings)
	t.Run("as the kubelet", c.testAsKubelet)
	t.Run("offline", c.testOffline)
	t.Run("agents", c.testAgents)
	t.Run("little permission", c.testLittlePermission)
	t.Run("audit log", c.testAuditLog)
	t.Run("other authorizers", c.testOtherAuthorizers)
}

type cluster struct {
	*suite.Suite
	widened *rights.Report // of testWidenings
}

// answer is what the command printed.
type answer struct {
	code        int
	out, errors string
}

// run runs the command as a user types it.
func run(t *testing.T, args ...string) answer {
	t.Helper()
	cmd := command.Plugin(command.ByKubectl, rights.Command())
	var out, errs bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	cmd.SetArgs(append([]string{"rights", "--qps=1000"}, args...))
	err := cmd.ExecuteContext(suite.Within(t, 2*time.Minute))
	a := answer{command.ExitCode(err), out.String(), errs.String()}
	if err != nil {
		a.errors += err.Error()
	}
	return a
}

// report runs the command with JSON as its output.
func report(t *testing.T, want int, args ...string) *rights.Report {
	t.Helper()
	a := run(t, append(args, "-o", "json")...)
	if a.code != want {
		t.Fatalf("kubectl nrp rights %s: exit code %d (%s), want %d\n%s", strings.Join(args, " "), a.code, a.errors, want, a.out)
	}
	r := &rights.Report{}
	suite.Check(t, json.Unmarshal([]byte(a.out), r))
	return r
}

// kubeconfig writes the kubeconfig of a user.
func (c *cluster) kubeconfig(t *testing.T, server *controlplane.APIServer, user string, groups ...string) string {
	t.Helper()
	config, err := server.User(user, groups...)
	suite.Check(t, err)
	return write(t, config)
}

func write(t *testing.T, config *rest.Config) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	suite.Check(t, controlplane.WriteKubeconfig(path, config))
	return path
}

// keys returns the permissions of a class, each as one text.
func keys(r *rights.Report, class rights.Class) []string {
	var list []string
	for _, item := range r.Items {
		if item.Class == class {
			list = append(list, key(&item))
		}
	}
	slices.Sort(list)
	return list
}

func key(r *rights.Right) string {
	return strings.Join(strings.Fields(strings.Join([]string{r.Verb, r.Resource, r.Path, r.Namespace, r.Name, r.Selector}, " ")), " ")
}

// object returns the metadata of an object in the namespace default.
func object(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name} }

// store stores a node with a pod, and an object of each kind that the Node authorizer relates to nodes.
func (c *cluster) store(t *testing.T) {
	t.Helper()
	c.CreateNode(t, node)
	stored := c.GetNode(t, node)
	core := c.Admin.CoreV1()
	ctx := t.Context()
	check := func(_ any, err error) { t.Helper(); suite.Check(t, err) }
	account, err := core.ServiceAccounts("default").Create(ctx, &corev1.ServiceAccount{ObjectMeta: object("web")}, metav1.CreateOptions{})
	suite.Check(t, err)
	claim := "devices"
	pod, err := core.Pods("default").Create(ctx, &corev1.Pod{
		ObjectMeta: object("web"),
		Spec: corev1.PodSpec{
			NodeName: node, ServiceAccountName: "web", ResourceClaims: []corev1.PodResourceClaim{{Name: "x", ResourceClaimName: &claim}},
			Containers: []corev1.Container{{Name: "c", Image: "registry.example.com/c", Env: []corev1.EnvVar{{
				Name: "X", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{
					LocalObjectReference: corev1.LocalObjectReference{Name: "settings"}, Key: "x",
				}},
			}}}},
			Volumes: []corev1.Volume{
				{Name: "a", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "password"}}},
				{Name: "b", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}},
			},
		},
	}, metav1.CreateOptions{})
	suite.Check(t, err)
	check(core.PersistentVolumes().Create(ctx, &corev1.PersistentVolume{
		ObjectMeta: object("volume"),
		Spec: corev1.PersistentVolumeSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, Capacity: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
			ClaimRef:               &corev1.ObjectReference{Namespace: "default", Name: "data"},
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: "example.com", VolumeHandle: "x"}},
		},
	}, metav1.CreateOptions{}))
	volume := "volume"
	check(c.Admin.StorageV1().VolumeAttachments().Create(ctx, &storagev1.VolumeAttachment{
		ObjectMeta: object("attachment"),
		Spec:       storagev1.VolumeAttachmentSpec{Attacher: "example.com", NodeName: node, Source: storagev1.VolumeAttachmentSource{PersistentVolumeName: &volume}},
	}, metav1.CreateOptions{}))
	own := node
	check(c.Admin.ResourceV1().ResourceSlices().Create(ctx, &resourcev1.ResourceSlice{
		ObjectMeta: object("slice"),
		Spec: resourcev1.ResourceSliceSpec{
			Driver: "example.com", NodeName: &own, Pool: resourcev1.ResourcePool{Name: "p", ResourceSliceCount: 1},
		},
	}, metav1.CreateOptions{}))
	_, key, err := ed25519.GenerateKey(rand.Reader)
	suite.Check(t, err)
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	suite.Check(t, err)
	check(c.Admin.CertificatesV1().PodCertificateRequests("default").Create(ctx, &certificatesv1.PodCertificateRequest{
		ObjectMeta: object("certificate"),
		Spec: certificatesv1.PodCertificateRequestSpec{
			SignerName: "example.com/signer", PodName: pod.Name, PodUID: pod.UID, ServiceAccountName: account.Name, ServiceAccountUID: account.UID,
			NodeName: types.NodeName(node), NodeUID: stored.UID, StubPKCS10Request: csr,
		},
	}, metav1.CreateOptions{}))
}

// testCells tests that the API server answers every question of the table as the table says.
func (c *cluster) testCells(t *testing.T) {
	r := report(t, 0, node, "--kubeconfig", c.Kubectl.Kubeconfig, "--refused", "--fail-on", "missing")
	table, err := nodeauthorizer.New(nodeauthorizer.Newest, nil)
	suite.Check(t, err)
	for _, class := range []rights.Class{rights.Widened, rights.Missing, rights.Unknown, rights.Untried, rights.Accepted} {
		if got := keys(r, class); len(got) > 0 {
			t.Errorf("%s in a new cluster: %q", class, got)
		}
	}
	asked := 0
	for _, item := range r.Items {
		if item.Object != "rule" {
			asked++
		}
		if want := item.Intent != "refused" || item.Class == rights.Known; item.Allowed == nil || *item.Allowed != want {
			t.Errorf("%s (%s): allowed: %v, want %t", key(&item), item.Object, item.Allowed, want)
		}
	}
	if want := len(table.Cells()); asked != want {
		t.Errorf("%d cells were asked, want %d", asked, want)
	}
	if r.NodeAuthorizer != "on" || r.Table != "1.37" || len(r.Lacking)+len(r.Notes) > 0 {
		t.Errorf("Node authorizer %s, table %s, lacking %v, notes %v", r.NodeAuthorizer, r.Table, r.Lacking, r.Notes)
	}
	if r.Counts[rights.Intended] < 50 || r.Counts[rights.Narrowed] < 20 || r.Counts[rights.Refused] < 200 || r.Counts[rights.Known] < 10 {
		t.Errorf("counts: %v", r.Counts)
	}
}

// widenings are bindings that no table has.
const widenings = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: everything-of-a-node}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "system:node"}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:nodes"}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: aggregated}
aggregationRule: {clusterRoleSelectors: [{matchLabels: {example.com/part: "true"}}]}
rules: [{apiGroups: [apps], resources: [daemonsets], verbs: [list]}, {apiGroups: [example.com], resources: [things/part], verbs: [get, "*"]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: the-part, labels: {example.com/part: "true"}}
rules: [{apiGroups: [example.com], resources: [things/part], verbs: [get, "*"]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: agents}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: aggregated}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: others}
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: "system:node:worker-1"}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: one-secret, namespace: kube-public}
rules: [{apiGroups: [""], resources: [secrets], resourceNames: [license], verbs: [get, patch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: license, namespace: kube-public}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: one-secret}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:nodes"}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: paths}
rules: [{nonResourceURLs: [/metrics, "/debug/*"], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: paths}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: paths}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:authenticated"}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: "kubeadm:kubelet-config", namespace: kube-system}
rules: [{apiGroups: [""], resources: [configmaps], resourceNames: [kubelet-config], verbs: [get, update]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: "kubeadm:kubelet-config", namespace: kube-system}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: "kubeadm:kubelet-config"}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:nodes"}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: dangling, namespace: kube-public}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: to-be-created}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:nodes"}]
`

// accepted accepts a binding, a path, and something that has expired.
const accepted = `
apiVersion: cli.noderestriction.plus/v1alpha1
kind: AcceptedRights
items:
- {binding: RoleBinding/kube-public/license, reason: the agent reads its license}
- {resources: [/metrics], verbs: [get], reason: nodes scrape the API server}
- {resources: [daemonsets.apps], reason: was a trial, expires: 2026-01-31}
`

func (c *cluster) testWidenings(t *testing.T) {
	suite.Check(t, c.Kubectl.Apply(t.Context(), []byte(widenings)))
	suite.Eventually(t, 30*time.Second, func() error { // until the API server has the last binding in its cache
		if r := report(t, command.CodeNo, node, "--kubeconfig", c.Kubectl.Kubeconfig); !slices.Contains(keys(r, rights.Widened), "update configmaps kube-system kubelet-config") {
			return fmt.Errorf("widened: %q", keys(r, rights.Widened))
		}
		return nil
	})
	r := report(t, command.CodeNo, node, "--kubeconfig", c.Kubectl.Kubeconfig, "--fail-on", "critical")
	c.widened = r
	for _, want := range []struct{ key, danger, binding, from string }{
		{"list secrets", "critical", "ClusterRoleBinding everything-of-a-node", ""},
		{"get secrets kube-system nrp-rights-unrelated", "critical", "ClusterRoleBinding everything-of-a-node", ""},
		{"create serviceaccounts/token kube-system nrp-rights-unrelated", "critical", "ClusterRoleBinding everything-of-a-node", ""},
		{"list nodes", "low", "ClusterRoleBinding everything-of-a-node", ""},
		{"list daemonsets.apps", "low", "ClusterRoleBinding agents", ""},
		{"get things.example.com/part", "low", "ClusterRoleBinding agents", "the-part"},
		{"* things.example.com/part", "medium", "ClusterRoleBinding agents", "the-part"},
		{"patch secrets kube-public license", "high", "RoleBinding kube-public/license", ""},
		{"get /metrics", "medium", "ClusterRoleBinding paths", ""},
		{"get /debug/*", "medium", "ClusterRoleBinding paths", ""},
		// The name of kubeadm does not excuse a verb that kubeadm does not grant.
		{"update configmaps kube-system kubelet-config", "high", "RoleBinding kube-system/kubeadm:kubelet-config", ""},
	} {
		i := slices.IndexFunc(r.Items, func(item rights.Right) bool { return key(&item) == want.key })
		if i < 0 || r.Items[i].Class != rights.Widened || r.Items[i].Danger != want.danger || len(r.Items[i].Grants) != 1 ||
			r.Items[i].Grants[0].Binding != want.binding || r.Items[i].Grants[0].AggregatedFrom != want.from {
			t.Errorf("%s: got %+v, want %s by %s", want.key, r.Items[max(i, 0)], want.danger, want.binding)
		}
	}
	// Two bindings give it; the API server names only one.
	i := slices.IndexFunc(r.Items, func(item rights.Right) bool { return key(&item) == "get secrets kube-public license" })
	if i < 0 || len(r.Items[i].Grants) != 2 {
		t.Errorf("get secrets kube-public/license: %+v, want two grants", r.Items[max(i, 0)])
	}
	if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "RoleBinding kube-public/dangling gives the role Role to-be-created") {
		t.Errorf("notes: %q", r.Notes)
	}
	if len(r.Bindings) != 5 || r.Bindings[0].Binding != "ClusterRoleBinding everything-of-a-node" || r.Bindings[0].Rights < 20 {
		t.Errorf("bindings: %+v", r.Bindings)
	}

	file := filepath.Join(t.TempDir(), "accepted.yaml")
	suite.Check(t, os.WriteFile(file, []byte(accepted), 0o600))
	r = report(t, command.CodeNo, node, "--kubeconfig", c.Kubectl.Kubeconfig, "--accept", file)
	// What another binding gives, too, is not accepted.
	if got, want := keys(r, rights.Accepted), []string{"get /metrics", "patch secrets kube-public license"}; !slices.Equal(got, want) {
		t.Errorf("accepted %q, want %q", got, want)
	}
	if !slices.ContainsFunc(r.Notes, func(note string) bool {
		return strings.Contains(note, "items[2]") && strings.Contains(note, "2026-01-31")
	}) {
		t.Errorf("notes: %q, want the one that has expired", r.Notes)
	}

	// The command that removes a subject removes that one.
	for _, b := range c.widened.Bindings {
		if b.Binding != "ClusterRoleBinding agents" {
			continue
		}
		patch, err := c.Admin.RbacV1().ClusterRoleBindings().Patch(t.Context(), "agents", types.JSONPatchType, []byte(between(b.Fix, "--patch='", "'")), metav1.PatchOptions{DryRun: []string{"All"}})
		if err != nil || len(patch.Subjects) != 1 || patch.Subjects[0].Name != "others" {
			t.Errorf("%s: %v, %+v", b.Fix, err, patch)
		}
		if !strings.HasPrefix(b.Fix, "kubectl patch clusterrolebinding agents --type=json ") {
			t.Errorf("fix: %s", b.Fix)
		}
	}
	for format, want := range map[string]string{"text": "WIDENED: ", "html": "<title>Permissions of node worker-1</title>", "yaml": "kind: RightsReport"} {
		if a := run(t, node, "--kubeconfig", c.Kubectl.Kubeconfig, "-o", format); a.code != command.CodeNo || !strings.Contains(a.out, want) {
			t.Errorf("-o %s: exit code %d (%s), want 1 and %q in:\n%s", format, a.code, a.errors, want, a.out)
		}
	}
}

func between(s, before, after string) string {
	_, s, _ = strings.Cut(s, before)
	s, _, _ = strings.Cut(s, after)
	return s
}

// testAsKubelet tests that a kubelet with nothing but its own kubeconfig finds the same about itself.
func (c *cluster) testAsKubelet(t *testing.T) {
	kubeconfig := c.kubeconfig(t, c.ControlPlane.APIServer, authorization.NodeUserPrefix+node, authorization.NodesGroup)
	r := report(t, command.CodeNo, "--as-kubelet", "--kubeconfig", kubeconfig)
	got, want := keys(r, rights.Widened), keys(c.widened, rights.Widened)
	// A kubelet asks for its rules only in namespaces that it knows.
	want = slices.DeleteFunc(want, func(key string) bool { return strings.Contains(key, "kube-public") })
	if !slices.Equal(got, want) {
		t.Errorf("widened as the kubelet, but not for the administrator: %q\nthe other way round: %q", without(got, want), without(want, got))
	}
	for _, item := range r.Items {
		if item.Class == rights.Widened && len(item.Grants) != 1 {
			t.Errorf("%s: no cause from the reason %q", key(&item), item.Reason)
		}
	}
	if r.User != "system:node:worker-1" || !slices.Contains(r.Groups, "system:authenticated") || r.NodeAuthorizer != "on" || len(r.Lacking) > 0 {
		t.Errorf("user %s, groups %q, Node authorizer %s, lacking %v", r.User, r.Groups, r.NodeAuthorizer, r.Lacking)
	}
	if a := run(t, "--as-kubelet", "--kubeconfig", c.Kubectl.Kubeconfig); a.code != command.CodeNoAnswer || !strings.Contains(a.errors, `"admin" is no kubelet`) {
		t.Errorf("as the administrator: exit code %d: %s", a.code, a.errors)
	}
}

func without(list, others []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(others, s) })
}

// testOffline tests that a dump says the same as the cluster.
func (c *cluster) testOffline(t *testing.T) {
	a := run(t, node, "--kubeconfig", c.Kubectl.Kubeconfig, "--dump")
	if a.code != 0 {
		t.Fatalf("--dump: exit code %d: %s", a.code, a.errors)
	}
	if strings.Contains(a.out, "registry.example.com") || strings.Contains(a.out, "uid") {
		t.Errorf("the dump has more than it needs:\n%s", a.out)
	}
	file := filepath.Join(t.TempDir(), "dump.json")
	suite.Check(t, os.WriteFile(file, []byte(a.out), 0o600))
	byKubectl, err := c.Kubectl.Run(t.Context(), nil, "get", "clusterroles,clusterrolebindings,roles,rolebindings", "--all-namespaces", "--output=yaml")
	suite.Check(t, err)
	other := filepath.Join(t.TempDir(), "kubectl.yaml")
	suite.Check(t, os.WriteFile(other, []byte(byKubectl), 0o600))
	for _, from := range []string{file, other} {
		r := report(t, command.CodeNo, node, "--from", from)
		if got, want := keys(r, rights.Widened), keys(c.widened, rights.Widened); !slices.Equal(got, want) {
			t.Errorf("%s: widened offline, but not in the cluster: %q\nthe other way round: %q", filepath.Base(from), without(got, want), without(want, got))
		}
		if got, want := keys(r, rights.Known), keys(c.widened, rights.Known); !slices.Equal(got, want) {
			t.Errorf("%s: known: %q, want %q", filepath.Base(from), got, want)
		}
	}
}

// testLittlePermission tests what the report says to users with few permissions.
func (c *cluster) testLittlePermission(t *testing.T) {
	role := rights.Role()
	bind := func(user string, rules ...rbacv1.PolicyRule) string {
		t.Helper()
		name := metav1.ObjectMeta{Name: "test-" + user}
		_, err := c.Admin.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: name, Rules: rules}, metav1.CreateOptions{})
		suite.Check(t, err)
		_, err = c.Admin.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
			ObjectMeta: name, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name.Name},
			Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}},
		}, metav1.CreateOptions{})
		suite.Check(t, err)
		return c.kubeconfig(t, c.ControlPlane.APIServer, user)
	}
	full := bind("full", role.Rules...)
	suite.Eventually(t, 30*time.Second, func() error {
		a := run(t, node, "--kubeconfig", full, "-o", "json")
		r := &rights.Report{}
		if err := json.Unmarshal([]byte(a.out), r); err != nil || len(r.Lacking) > 0 {
			return fmt.Errorf("%w %s: %+v", err, a.errors, r.Lacking)
		}
		if got, want := keys(r, rights.Widened), keys(c.widened, rights.Widened); !slices.Equal(got, want) {
			return fmt.Errorf("widened %q, want %q", got, want)
		}
		return nil
	})
	for i := range role.Rules {
		if role.Rules[i].APIGroups[0] == "noderestriction.plus" {
			continue // for --agents
		}
		user := fmt.Sprintf("without-%d", i)
		kubeconfig := bind(user, slices.Delete(slices.Clone(role.Rules), i, i+1)...)
		suite.Eventually(t, 30*time.Second, func() error {
			a := run(t, node, "--kubeconfig", kubeconfig, "-o", "json")
			r := &rights.Report{}
			if err := json.Unmarshal([]byte(a.out), r); err != nil {
				return fmt.Errorf("exit code %d: %s: %w", a.code, a.errors, err)
			}
			lacking := map[string]bool{}
			for _, l := range r.Lacking {
				lacking[l.Permission] = true
			}
			want := map[string]bool{}
			for _, resource := range role.Rules[i].Resources {
				if group := role.Rules[i].APIGroups[0]; group != "" {
					resource += "." + group
				}
				want[role.Rules[i].Verbs[0]+" "+resource] = true
			}
			if !maps.Equal(lacking, want) {
				return fmt.Errorf("lacking %v, want %v", lacking, want)
			}
			if !slices.Contains(keys(r, rights.Widened), "list secrets") {
				return fmt.Errorf("widened: %q", keys(r, rights.Widened))
			}
			return nil
		})
	}
	nobody := run(t, node, "--kubeconfig", c.kubeconfig(t, c.ControlPlane.APIServer, "nobody"))
	if nobody.code != command.CodeNoAnswer || !strings.Contains(nobody.errors, "create subjectaccessreviews.authorization.k8s.io") {
		t.Errorf("without any permission: exit code %d: %s", nobody.code, nobody.errors)
	}
}
