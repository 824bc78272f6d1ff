// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"noderestriction.plus/e2e/process"
	"noderestriction.plus/e2e/sandbox"
)

// containerdConfig is the configuration of containerd, in a version that all releases since 1.3 read. The score by which the kernel
// chooses what it kills when memory is short can only be raised where the machine denies to lower it. Releases before 2.0 read descriptions
// of devices only with enable_cdi, and those before 1.7 never do.
const containerdConfig = `version = 2
root = %q
state = %q

[grpc]
address = %q

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = %q
restrict_oom_score_adj = true
enable_cdi = true
netns_mounts_under_state_dir = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = %q
conf_dir = %q

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
BinaryName = %q
SystemdCgroup = false
`

// networkConfig connects pods to the bridge of the sandbox. All nodes of a run share the bridge and the file of assigned addresses.
const networkConfig = `{
  "cniVersion": "1.0.0", "name": "nrp",
  "plugins": [{
    "type": "bridge", "bridge": %q, "isDefaultGateway": true, "hairpinMode": true,
    "ipam": {"type": "host-local", "dataDir": "/var/lib/cni/networks", "ranges": [[
      {"subnet": %q, "rangeStart": "10.244.1.1", "rangeEnd": "10.244.255.250", "gateway": %q}
    ]]}
  }]
}
`

// runtimeTimeout bounds work of containerd, such as its start, on a busy machine.
const runtimeTimeout = time.Minute

func (n *Node) socket() string { return filepath.Join("/run", n.Name, "containerd.sock") }

// writeRuntimeConfig writes the files of containerd, and a directory with the programs that it runs by their names.
func (n *Node) writeRuntimeConfig() error {
	bin, networks := n.path("bin"), n.path("net.d")
	for _, dir := range []string{bin, networks} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	for name, path := range n.programs {
		if err := os.Symlink(path, filepath.Join(bin, name)); err != nil {
			return err
		}
	}
	network := fmt.Sprintf(networkConfig, sandbox.Bridge, sandbox.Subnet, sandbox.Gateway)
	if err := os.WriteFile(filepath.Join(networks, "10-nrp.conflist"), []byte(network), 0o644); err != nil {
		return err
	}
	config := fmt.Sprintf(containerdConfig, n.path("containerd"), filepath.Join("/run", n.Name, "state"), n.socket(), PauseImage, bin,
		networks, n.programs[runc])
	return os.WriteFile(n.path("containerd.toml"), []byte(config), 0o644)
}

// StartRuntime starts containerd, which has the containers that it had before, and waits until it answers.
func (n *Node) StartRuntime(ctx context.Context) (err error) {
	if err := os.MkdirAll(filepath.Dir(n.socket()), 0o711); err != nil {
		return err
	}
	n.runtime, err = process.Start(process.Spec{
		Name: "containerd of " + n.Name, Path: n.program("containerd"), Dir: n.dir, LogFile: n.logFile("containerd"),
		Args: []string{"--config=" + n.path("containerd.toml")},
		Env:  []string{"PATH=" + n.path("bin") + ":" + os.Getenv("PATH")},
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, runtimeTimeout)
	defer cancel()
	return n.runtime.Await(ctx, func(ctx context.Context) error {
		_, err := n.Ctr(ctx, "version")
		return err
	})
}

// StopRuntime kills containerd. The containers keep running.
func (n *Node) StopRuntime() {
	if n.runtime != nil {
		_ = n.runtime.Kill()
	}
}

// Ctr runs the command line of containerd, in the namespace of the kubelet, and returns its output.
func (n *Node) Ctr(ctx context.Context, args ...string) (string, error) {
	args = append([]string{"--address=" + n.socket(), "--namespace=k8s.io", "--connect-timeout=2s"}, args...)
	out, err := exec.CommandContext(ctx, n.program("ctr"), args...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("ctr %s: %w\n%s", strings.Join(args[3:], " "), err, out)
	}
	return string(out), nil
}

// Import imports the images of an archive.
func (n *Node) Import(ctx context.Context, archive string) error {
	_, err := n.Ctr(ctx, "images", "import", archive)
	return err
}

// Processes returns the processes of a container, by the ID that its pod's status has.
func (n *Node) Processes(containerID string) ([]int, error) {
	_, id, found := strings.Cut(containerID, "containerd://")
	if !found || id == "" {
		return nil, fmt.Errorf("%q is not the ID of a container of containerd", containerID)
	}
	return n.processes(func(cgroups, _ string) bool { return strings.Contains(cgroups, id) })
}

// killContainers kills all containers with their shims, as a loss of power does, and waits until they are gone.
func (n *Node) killContainers() error {
	deadline := time.Now().Add(10 * time.Second)
	for {
		pids, err := n.processes(func(cgroups, command string) bool {
			return strings.Contains(cgroups, n.cgroup()+"/") ||
				strings.Contains(command, "containerd-shim-runc-v2") && strings.Contains(command, n.socket())
		})
		if err != nil || len(pids) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v of containers do not end", pids)
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// processes returns the processes of this sandbox that match, by their cgroups and their command line.
func (n *Node) processes(match func(cgroups, command string) bool) ([]int, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		// A process that has ended has neither file.
		cgroups, _ := os.ReadFile(filepath.Join(dir, "cgroup"))
		command, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		if match(string(cgroups), string(command)) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
