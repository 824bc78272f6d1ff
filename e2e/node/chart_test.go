// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/project"
	"noderestriction.plus/e2e/sandbox"
	"noderestriction.plus/e2e/suite"
)

const (
	// namespace is where the chart is installed, as the release.
	namespace = product.Name
	release   = "nrp"
)

// helm runs Helm as the administrator and returns its output.
func (s *setup) helm(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	args = append(args, "--namespace="+namespace, "--kubeconfig="+s.Kubectl.Kubeconfig)
	cmd := exec.CommandContext(ctx, s.helmPath, args...)
	home := filepath.Join(sandbox.Dir(), "helm")
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("helm %s: %v\n%s\n%s", args[0], err, out, s.describe(t))
	}
	return string(out)
}

// install installs or upgrades the chart with these values, each in the form of Helm's flag --set, and waits until its pods are ready.
func (s *setup) install(t *testing.T, values ...string) {
	t.Helper()
	root, err := project.Root()
	suite.Check(t, err)
	args := []string{
		"upgrade", "--install", release, filepath.Join(root, "charts", "node-restriction-plus"), "--create-namespace",
		"--wait", "--timeout=2m30s",
		"--set-json=nodeSelector=" + fmt.Sprintf(`{%q:"trusted"}`, poolLabel),
	}
	for _, value := range values {
		args = append(args, "--set="+value)
	}
	s.helm(t, args...)
}

// pods returns the pods of the chart that are not being deleted.
func (s *setup) pods(t *testing.T) []corev1.Pod {
	t.Helper()
	selector := metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=" + product.Name}
	list, err := s.Admin.CoreV1().Pods(namespace).List(t.Context(), selector)
	suite.Check(t, err)
	var pods []corev1.Pod
	for _, pod := range list.Items {
		if pod.DeletionTimestamp == nil {
			pods = append(pods, pod)
		}
	}
	return pods
}

// describe says why pods of the chart may not run.
func (s *setup) describe(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, args := range [][]string{{"get", "pods", "-A", "-o", "wide"}, {"describe", "pods"}, {"get", "events"}} {
		out, err := s.Kubectl.Run(t.Context(), nil, append(args, "--namespace="+namespace)...)
		fmt.Fprintln(&all, out, err)
	}
	return all.String()
}
