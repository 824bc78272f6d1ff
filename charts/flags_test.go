// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// programs are values under which the program gets other flags.
var programs = map[string][]string{
	"by default":                  nil,
	"with a certificate in files": {"--set", provided},
	"on control-plane nodes":      {"--set", "profile=controlPlane"},
	"with client certificates":    {"--set", "clientCertificates.secret=a,clientCertificates.allowedNames={b,c}"},
	"without metrics":             {"--set", "metrics.enabled=false"},
	"with metrics for the pod":    {"--set", "metrics.secure=false"},
	"with a file of records": {
		"--set", "denialLog.file.enabled=true,denialLog.file.maxSize=2Gi,resources.limits.ephemeral-storage=16Gi",
	},
	"without Events":               {"--set", "events.enabled=false"},
	"with the probe":               {"--set", "enforcementProbe.enabled=true,enforcementProbe.interval=1m30s"},
	"with profiles, and debugging": {"--set", "pprofBindAddress=127.0.0.1:6060,logLevel=debug,bindAddress=10.0.0.1"},
	"with other limits": {
		"--set", "limits.maxConnections=2000000,limits.maxRequestsInFlight=9,limits.maxBodyBytesInFlight=2147483648,shutdown.delaySeconds=600",
	},
	"following policies": {"--set", "webhook.followPolicies=true"},
	"with more names":    {"--set", "certificates.extraDNSNames={a.example.com,b.example.com}"},
}

// TestFlags has the program itself read the arguments of each pod, and holds the flags that it has to those that the chart
// can set.
func TestFlags(t *testing.T) {
	program := buildProgram(t)
	reached := map[string]bool{}
	for name, arguments := range programs {
		c := pods(t, render(t, arguments...)).Containers[0]
		checkArguments(t, program, name, c)
		note(reached, c.Args)
	}
	files := staticPod(t, renderStatic(t, "--set",
		"controlPlane.static.clientCA=/etc/kubernetes/nrp/ca.crt,clientCertificates.allowedNames={a}")).Spec.Containers[0]
	checkArguments(t, program, "in files", files)
	note(reached, files.Args)
	checkArguments(t, program, "helm test", get[*corev1.Pod](t, render(t), verify).Spec.Containers[0])

	help, err := exec.Command(program, "serve", "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	flags := regexp.MustCompile(`(?m)^ +(?:-\w, )?--([a-z0-9-]+)`).FindAllStringSubmatch(string(help), -1)
	if len(flags) < len(reached) {
		t.Fatalf("of the help only these flags could be read: %v", flags)
	}
	for _, flag := range flags {
		if flag[1] != "help" && !reached[flag[1]] {
			t.Errorf("no value of the chart sets --%s", flag[1])
		}
	}
}

// buildProgram builds the program as it is.
func buildProgram(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "node-restriction-plus")
	if out, err := exec.Command("go", "-C", "..", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// checkArguments runs the program with the arguments of a container, which it must accept. Then it fails to read its kubeconfig, which
// does not exist.
func checkArguments(t *testing.T, program, name string, c corev1.Container) {
	t.Helper()
	if len(c.Command) > 0 {
		t.Errorf("%s: the command is %v, not that of the image", name, c.Command)
	}
	missing := filepath.Join(t.TempDir(), "none")
	out, err := exec.Command(program, append(slices.Clone(c.Args), "--kubeconfig="+missing)...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "--kubeconfig: ") || !strings.Contains(string(out), missing) {
		t.Errorf("%s: with %q it ends with %v and says %s", name, c.Args, err, out)
	}
}

// note notes the flags in arguments.
func note(flags map[string]bool, args []string) {
	for _, arg := range args {
		if flag, found := strings.CutPrefix(arg, "--"); found {
			flag, _, _ = strings.Cut(flag, "=")
			flags[flag] = true
		}
	}
}
