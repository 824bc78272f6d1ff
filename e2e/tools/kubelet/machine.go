// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"path/filepath"
	"time"

	cadvisortest "k8s.io/kubernetes/pkg/kubelet/cadvisor/testing"
)

// machine is an imaginary machine, whose memory is exhausted while the file starve exists in the root directory.
type machine struct {
	cadvisortest.Fake
	starve string // path
}

func newMachine(node, rootDir string) *machine {
	return &machine{Fake: cadvisortest.Fake{NodeName: node}, starve: filepath.Join(rootDir, "starve")}
}

// ContainerInfoV2 is about the machine as a whole, which is all that decides about evictions.
func (m *machine) ContainerInfoV2(name string, _ requestOptions) (map[string]containerInfo, error) {
	if name != "/" {
		return map[string]containerInfo{}, nil
	}
	capacity, err := memoryCapacity(&m.Fake)
	if err != nil {
		return nil, err
	}
	used := capacity / 2
	if _, err := os.Stat(m.starve); err == nil {
		used = capacity
	}
	return map[string]containerInfo{name: {
		Spec: containerSpec{HasMemory: true, Memory: memorySpec{Limit: capacity}},
		Stats: []*containerStats{{
			Timestamp: time.Now(), Memory: &memoryStats{Usage: used, WorkingSet: used},
		}},
	}}, nil
}

// disk is the one file system.
func disk() fsInfo {
	return fsInfo{
		Device: "/dev/vda", Mountpoint: "/", Timestamp: time.Now(),
		Capacity: 100 << 30, Available: 90 << 30, Usage: 10 << 30,
	}
}

// RootFsInfo is about the file system of the machine.
func (m *machine) RootFsInfo() (fsInfo, error) { return disk(), nil }

// ImagesFsInfo is about the file system of images, which is the same.
func (m *machine) ImagesFsInfo(context.Context) (fsInfo, error) { return disk(), nil }

// ContainerFsInfo is about the file system of containers, which is the same.
func (m *machine) ContainerFsInfo(context.Context) (fsInfo, error) { return disk(), nil }

// GetDirFsInfo is about the file system of a directory, which is the same.
func (m *machine) GetDirFsInfo(string) (fsInfo, error) { return disk(), nil }
