// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"noderestriction.plus/internal/authorization"
)

// shellLine runs a line in a POSIX shell and returns its output.
func shellLine(t *testing.T, line string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
	cmd.Dir = t.TempDir()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", line, err, out)
	}
	return string(out)
}

func TestQuote(t *testing.T) {
	for _, word := range []string{
		"", "plain", "system:node:a", "it's", "$(touch x)", "`x`", `"`, `\`, "a b", "*", "~", "#x", "a;b", "a&b", "-n", "{a,b}", "!x", "é",
	} {
		if got := shellLine(t, "printf '%s' "+Quote(word)); got != word {
			t.Errorf("%q becomes %q", word, got)
		}
	}
}

// TestNamesThatDoNotPrint tests that a name that could change the terminal or begin another line is never part of a command.
func TestNamesThatDoNotPrint(t *testing.T) {
	for _, name := range []string{"a\nb", "a\x1b[2J", "a\u202eb", "a\x00b", "a\xffb"} {
		if fix := deletion("clusterrolebinding", "", name); fix.Command != "" || fix.Note == "" {
			t.Errorf("%q: %+v", name, fix)
		}
		id := authorization.Identity{User: name}
		if line := Grant(id, &authorization.Request{Verb: "list", Resource: "nodes"}); line != "" {
			t.Errorf("%q: %q", name, line)
		}
	}
	if fix := deletion("clusterrolebinding", "", "-all"); !strings.HasSuffix(fix.Command, " -- -all") {
		t.Errorf("a name that looks like a flag: %s", fix.Command)
	}
}

func TestGrant(t *testing.T) {
	person, pod := authorization.Identity{User: "a b"}, authorization.Identity{User: "system:serviceaccount:x:y"}
	for _, test := range []struct {
		name       string
		user       authorization.Identity
		permission authorization.Request
		want       string
	}{
		{
			"a list", person,
			authorization.Request{Verb: "list", Group: "apps", Resource: "daemonsets"},
			"kubectl create clusterrole nrp-doctor-list-daemonsets-apps --verb=list --resource=daemonsets.apps && " +
				"kubectl create clusterrolebinding nrp-doctor-list-daemonsets-apps --clusterrole=nrp-doctor-list-daemonsets-apps '--user=a b'",
		},
		{
			"an object in a namespace, for a service account", pod,
			authorization.Request{Verb: "get", Resource: "configmaps", Namespace: "kube-system", Name: "kubelet-config"},
			"kubectl create clusterrole nrp-doctor-get-configmaps-kubelet-config --verb=get --resource=configmaps" +
				" --resource-name=kubelet-config && " +
				"kubectl create rolebinding nrp-doctor-get-configmaps-kubelet-config --namespace=kube-system " +
				"--clusterrole=nrp-doctor-get-configmaps-kubelet-config --serviceaccount=x:y",
		},
		{
			"a path", pod,
			authorization.Request{Verb: "get", Path: "/metrics"},
			"kubectl create clusterrole nrp-doctor-get-metrics --verb=get --non-resource-url=/metrics && " +
				"kubectl create clusterrolebinding nrp-doctor-get-metrics --clusterrole=nrp-doctor-get-metrics --serviceaccount=x:y",
		},
		{"nobody", authorization.Identity{}, authorization.Request{Verb: "list", Resource: "nodes"}, ""},
	} {
		if got := Grant(test.user, &test.permission); got != test.want {
			t.Errorf("%s:\n%s\nwant\n%s", test.name, got, test.want)
		}
	}
}

// TestManifestOfKubeadm runs the commands for kubeadm's manifest of kube-apiserver on a copy of it.
func TestManifestOfKubeadm(t *testing.T) {
	const manifest = "spec:\n  containers:\n  - command:\n    - kube-apiserver\n    - --authorization-mode=AlwaysAllow\n" +
		"    - --enable-admission-plugins=ServiceAccount\n"
	path := filepath.Join(t.TempDir(), "kube-apiserver.yaml")
	if err := os.WriteFile(path, []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	backup := t.TempDir()
	for _, file := range []string{"authz-always-allow/bad.yaml", "node-restriction/bad.yaml"} {
		id, _, _ := strings.Cut(file, "/")
		for _, c := range All() {
			if c.ID != id {
				continue
			}
			x := &fixture{}
			readYAML(t, filepath.Join("testdata", file), x)
			fix := c.Run(x.snapshot(t)).Evidence[0].Fix
			line := strings.NewReplacer("/etc/kubernetes/manifests/kube-apiserver.yaml", path, " /root/", " "+backup+"/").Replace(fix.Command)
			if line == fix.Command || fix.On != OnControlPlane {
				t.Fatalf("%s: %+v", file, fix)
			}
			shellLine(t, line)
		}
	}
	repaired, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.NewReplacer("AlwaysAllow", "Node,RBAC", "=ServiceAccount", "=NodeRestriction,ServiceAccount").Replace(manifest)
	if string(repaired) != want {
		t.Errorf("got\n%swant\n%s", repaired, want)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("the kubelet would run a copy, too: %v %v", entries, err)
	}
}
