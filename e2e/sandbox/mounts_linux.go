// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// bootID is the file by which programs tell one boot of a machine from the next.
const bootID = "/proc/sys/kernel/random/boot_id"

// mountAll gives the mount namespace a /proc of its processes, and directories of its own where programs of a node write to paths that
// cannot be configured.
func mountAll() error {
	err := mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE)
	err = errors.Join(err, mount("proc", "/proc", "proc", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC))
	err = errors.Join(err, mount("run", "/run", "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV))
	for _, name := range []string{"lib", "log"} {
		source := filepath.Join(Dir(), name)
		err = errors.Join(err, os.MkdirAll(source, 0o755), mount(source, "/var/"+name, "", syscall.MS_BIND))
	}
	err = errors.Join(err, pretendSettings())
	// Containers get what is mounted below later, as on other machines.
	return errors.Join(err, mount("none", "/", "", syscall.MS_REC|syscall.MS_SHARED))
}

// pretendSettings puts files in place of settings of the kernel that have no namespace. A kubelet sets them at its start, but must not
// change the machine.
func pretendSettings() error {
	var all error
	for _, name := range []string{
		"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys",
		"kernel/keys/root_maxbytes",
	} {
		value, err := os.ReadFile(filepath.Join("/proc/sys", name))
		if err != nil {
			continue // this kernel does not have it
		}
		file := filepath.Join(Dir(), "sysctl", name)
		all = errors.Join(all, os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, value, 0o644),
			mount(file, filepath.Join("/proc/sys", name), "", syscall.MS_BIND))
	}
	return all
}

// Reboot makes the machine look as if it has booted again: it has another boot ID, and nothing below /run.
func Reboot() error {
	id := rand.Text()
	path := filepath.Join(Dir(), "boot-"+id)
	uuid := fmt.Sprintf("%x", id)
	uuid = uuid[:8] + "-" + uuid[8:12] + "-" + uuid[12:16] + "-" + uuid[16:20] + "-" + uuid[20:32] + "\n"
	if err := os.WriteFile(path, []byte(uuid), 0o444); err != nil {
		return err
	}
	if err := mount(path, bootID, "", syscall.MS_BIND); err != nil {
		return err
	}
	// The network namespaces of pods are mounted below it, and go with it.
	if err := syscall.Unmount("/run", syscall.MNT_DETACH); err != nil {
		return fmt.Errorf("cannot unmount /run: %w", err)
	}
	return mount("run", "/run", "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV)
}

func mount(source, target, kind string, flags uintptr) error {
	if err := syscall.Mount(source, target, kind, flags, ""); err != nil {
		return fmt.Errorf("cannot mount %s: %w", target, err)
	}
	return nil
}
