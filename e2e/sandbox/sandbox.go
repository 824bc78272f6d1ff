// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package sandbox runs this program, such as a test binary, as root in namespaces of its own: process IDs, mounts, network, IPC and host
// name. What the program starts, mounts and configures, such as containers, ends with it, however it ends, and nothing else on the machine
// sees it. The network has no way out: programs that must be downloaded or built are built before.
package sandbox

import (
	"os"
	"path/filepath"
)

// Environment variables of the program inside.
const (
	stageVariable = "NRP_SANDBOX"     // which stage of this program runs
	dirVariable   = "NRP_SANDBOX_DIR" // see Dir
	nameVariable  = "NRP_SANDBOX_NAME"
)

// The stages, after the first one, in which the variable is not set.
const (
	initStage    = "init"    // process 1 of the namespaces
	programStage = "program" // the program itself
)

// The network inside: a bridge, to which pods and nodes are connected, and the address of the API server's Service.
const (
	// Bridge is the name of the bridge.
	Bridge = "nrp0"
	// Gateway is the address of the bridge.
	Gateway = "10.244.0.1"
	// Subnet is the network of the bridge.
	Subnet = "10.244.0.0/16"
	// ServiceIP is an address of the loopback interface: that of the Service kubernetes.
	ServiceIP = "10.0.0.1"
)

// Inside reports whether this program runs in its sandbox.
func Inside() bool { return os.Getenv(stageVariable) == programStage }

// Dir returns the directory of this run, which is kept if the program fails.
func Dir() string { return os.Getenv(dirVariable) }

// Logs returns the path below [Dir] of a file under /var/log, by which it is found after the end.
func Logs(path string) string { return filepath.Join(Dir(), "log", path) }

// CgroupRoot returns the name of the cgroup for everything that the program starts in cgroups of its own. All of it is removed at the end.
func CgroupRoot() string { return "/" + os.Getenv(nameVariable) }
