// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package binaries

import (
	"os"
	"syscall"
)

// errLocked says that another process holds the lock.
const errLocked = syscall.EWOULDBLOCK

// tryLock locks the file, or fails with errLocked.
func tryLock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }
