// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// cgroupPrefix is the beginning of the name of each cgroup of this package. The process ID of the first stage follows.
	cgroupPrefix = "nrp-node-"
	cgroupMount  = "/sys/fs/cgroup"
)

// hierarchies returns the directories in which cgroups are made: one for version 2, one for each controller for version 1.
func hierarchies() ([]string, error) {
	if exists(filepath.Join(cgroupMount, "cgroup.controllers")) {
		return []string{cgroupMount}, nil
	}
	procs, err := filepath.Glob(cgroupMount + "/*/cgroup.procs")
	if err != nil {
		return nil, err
	}
	var all []string
	for _, path := range procs {
		if dir := filepath.Dir(path); !exists(filepath.Join(dir, "cgroup.controllers")) {
			all = append(all, dir)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no cgroups are mounted in %s", cgroupMount)
	}
	return all, nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// NewCgroup makes a cgroup below [CgroupRoot], with all controllers.
func NewCgroup(name string) error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	for _, dir := range all {
		err = errors.Join(err, newCgroup(dir, strings.Split(strings.Trim(CgroupRoot()+"/"+name, "/"), "/")))
	}
	return err
}

// newCgroup makes the directories below one. With version 2, each parent hands its controllers to its children; with version 1, the sets
// of CPUs and memory of a child are empty until they are copied from the parent.
func newCgroup(dir string, elements []string) error {
	for _, element := range elements {
		parent := dir
		dir = filepath.Join(dir, element)
		if controllers, err := os.ReadFile(filepath.Join(parent, "cgroup.controllers")); err == nil {
			for controller := range strings.FieldsSeq(string(controllers)) {
				// Some cannot be handed on, such as one that a version 1 hierarchy has.
				_ = os.WriteFile(filepath.Join(parent, "cgroup.subtree_control"), []byte("+"+controller), 0)
			}
		}
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			if !exists(filepath.Join(dir, file)) || exists(filepath.Join(dir, "cgroup.controllers")) {
				continue
			}
			value, err := os.ReadFile(filepath.Join(parent, file))
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, file), value, 0)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// allHierarchies returns also the hierarchy of version 2 beside those of version 1, in which runc makes cgroups too.
func allHierarchies() ([]string, error) {
	all, err := hierarchies()
	if err == nil && exists(filepath.Join(cgroupMount, "unified", "cgroup.controllers")) {
		all = append(all, filepath.Join(cgroupMount, "unified"))
	}
	return all, err
}

// removeStaleCgroups removes the cgroups of runs that were killed.
func removeStaleCgroups() error {
	all, err := allHierarchies()
	if err != nil {
		return err
	}
	var stale []string
	for _, dir := range all {
		found, _ := filepath.Glob(filepath.Join(dir, cgroupPrefix+"*"))
		for _, path := range found {
			name := filepath.Base(path)
			pid, err := strconv.Atoi(strings.TrimPrefix(name, cgroupPrefix))
			if err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) && !slices.Contains(stale, name) {
				stale = append(stale, name)
			}
		}
	}
	for _, name := range stale {
		err = errors.Join(err, removeCgroups(name))
	}
	return err
}

// removeCgroups removes the cgroups with this name and all below them. Their processes were killed, but may not be gone yet.
func removeCgroups(name string) error {
	all, err := allHierarchies()
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		err = nil
		for _, dir := range all {
			err = errors.Join(err, removeTree(filepath.Join(dir, name)))
		}
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

// removeTree removes directories from the innermost to the outermost one. The files of a cgroup cannot be removed, and go with it.
func removeTree(root string) error {
	var dirs []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			dirs = append(dirs, path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	for _, dir := range slices.Backward(dirs) {
		if removed := os.Remove(dir); removed != nil && !errors.Is(removed, fs.ErrNotExist) {
			err = errors.Join(err, removed)
		}
	}
	return err
}
