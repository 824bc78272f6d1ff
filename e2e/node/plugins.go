// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/process"
)

// CDIDir is where containerd finds descriptions of devices. It is empty after a reboot.
const CDIDir = "/var/run/cdi"

// StartPlugin starts one of the plugins of e2e/tools/plugins, such as csi-driver, with these flags. It registers with the kubelet a moment
// later. It keeps running while the kubelet does not.
func (n *Node) StartPlugin(plugin string, flags ...string) (*process.Process, error) {
	return process.Start(process.Spec{
		Name: plugin + " of " + n.Name, Path: n.program(binaries.KubeletPlugins().Name), Dir: n.dir, LogFile: n.logFile(plugin),
		Args: append([]string{plugin}, flags...),
	})
}

// RootDir returns the directory of the kubelet's data.
func (n *Node) RootDir() string { return n.path("kubelet") }
