// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"noderestriction.plus/e2e/process"
	"noderestriction.plus/e2e/sandbox"
)

// kubeletConfig is the KubeletConfiguration. What is not listed has the kubelet's defaults, except what depends on this machine: where
// files are, cgroups of version 1, and thresholds of evictions and of the deletion of images, because other programs use the disk too.
func (n *Node) kubeletConfig() map[string]any {
	return map[string]any{
		"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
		"address": n.Address, "port": 10250, "healthzBindAddress": n.Address,
		"containerRuntimeEndpoint": "unix://" + n.socket(),
		"staticPodPath":            n.staticPods(), "podLogsDir": n.PodLogs(), "volumePluginDir": n.path("volume-plugins"),
		"authentication": map[string]any{
			"x509": map[string]any{"clientCAFile": n.path("ca.crt")}, "webhook": map[string]any{"enabled": true},
			"anonymous": map[string]any{"enabled": false},
		},
		"authorization": map[string]any{"mode": "Webhook"},
		"clusterDNS":    []string{"10.0.0.10"}, "clusterDomain": "cluster.local", "resolvConf": n.path("resolv.conf"),
		"cgroupDriver": "cgroupfs", "cgroupRoot": n.cgroup(), "failCgroupV1": false, "failSwapOn": false,
		"evictionHard": map[string]string{
			"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%", "nodefs.inodesFree": "1%",
		},
		"imageGCHighThresholdPercent": 100,
	}
}

func (n *Node) staticPods() string { return n.path("static-pods") }

// PodLogs returns the directory of the logs of containers: /var/log/pods on a machine with one kubelet.
func (n *Node) PodLogs() string { return filepath.Join("/var/log", n.Name, "pods") }

// Configure writes the kubelet's configuration with these fields in place of those of a stock node. The kubelet reads it at its start.
func (n *Node) Configure(fields map[string]any) error {
	config := n.kubeletConfig()
	maps.Copy(config, n.options.Kubelet)
	maps.Copy(config, fields)
	data, err := yaml.Marshal(config)
	if err != nil {
		return err
	}
	return os.WriteFile(n.path("kubelet.yaml"), data, 0o644)
}

// StartKubelet starts the kubelet. It does not wait until the Node is Ready; AwaitReady does.
func (n *Node) StartKubelet() (err error) {
	n.kubelet, err = process.Start(process.Spec{
		Name: "kubelet of " + n.Name, Path: n.program("kubelet"), Dir: n.dir, LogFile: n.logFile("kubelet"),
		Args: []string{
			"--config=" + n.path("kubelet.yaml"),
			"--kubeconfig=" + n.Kubeconfig(),
			"--hostname-override=" + n.Name,
			"--node-ip=" + n.Address,
			"--root-dir=" + n.RootDir(),
			"--cert-dir=" + n.path("pki"),
			"--node-labels=" + strings.Join(n.options.Labels, ","),
			"--v=2",
		},
		Env: []string{"PATH=" + n.path("bin") + ":" + os.Getenv("PATH")},
	})
	return err
}

// StopKubelet kills the kubelet. The containers keep running.
func (n *Node) StopKubelet() {
	if n.kubelet != nil {
		_ = n.kubelet.Kill()
	}
}

// AddStaticPod adds a manifest of a static pod as a file with this name.
func (n *Node) AddStaticPod(name, manifest string) error {
	// The kubelet must not read half a file.
	tmp := n.path(name + ".tmp")
	if err := os.WriteFile(tmp, []byte(manifest), 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(n.staticPods(), name+".yaml"))
}

// RemoveStaticPod removes a manifest.
func (n *Node) RemoveStaticPod(name string) error {
	return os.Remove(filepath.Join(n.staticPods(), name+".yaml"))
}

// AwaitReady waits until the Node is Ready and its lease was renewed after a moment. If that is the start of the kubelet, this run has
// renewed it.
func (n *Node) AwaitReady(ctx context.Context, admin kubernetes.Interface, after time.Time) error {
	return n.kubelet.Await(ctx, func(ctx context.Context) error {
		node, err := admin.CoreV1().Nodes().Get(ctx, n.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		ready := slices.IndexFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool { return c.Type == corev1.NodeReady })
		if ready < 0 || node.Status.Conditions[ready].Status != corev1.ConditionTrue {
			return fmt.Errorf("node %s is not Ready: %v", n.Name, node.Status.Conditions)
		}
		lease, err := admin.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(ctx, n.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if lease.Spec.RenewTime == nil || !lease.Spec.RenewTime.After(after) {
			return fmt.Errorf("node %s has not renewed its lease", n.Name)
		}
		return nil
	})
}

// writeKubeletFiles writes the files that the kubelet's configuration and flags name, and makes its cgroup.
func (n *Node) writeKubeletFiles(ca []byte) error {
	for _, dir := range []string{n.staticPods(), n.PodLogs(), n.RootDir()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	for name, content := range map[string][]byte{"ca.crt": ca, "resolv.conf": nil} {
		if err := os.WriteFile(n.path(name), content, 0o644); err != nil {
			return err
		}
	}
	if err := n.Configure(nil); err != nil {
		return err
	}
	return sandbox.NewCgroup(n.Name)
}
