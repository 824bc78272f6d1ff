// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package process

import "syscall"

// childAttributes makes the kernel kill the child even if this process is killed.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
