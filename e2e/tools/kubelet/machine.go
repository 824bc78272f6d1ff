// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"path/filepath"
	"time"

	cadvisorapi "github.com/google/cadvisor/lib/model"
	"k8s.io/klog/v2"
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
func (m *machine) ContainerInfoV2(
	name string, _ cadvisorapi.RequestOptions,
) (map[string]cadvisorapi.ContainerInfo, error) {
	if name != "/" {
		return map[string]cadvisorapi.ContainerInfo{}, nil
	}
	info, err := m.MachineInfo(klog.Background())
	if err != nil {
		return nil, err
	}
	used := info.MemoryCapacity / 2
	if _, err := os.Stat(m.starve); err == nil {
		used = info.MemoryCapacity
	}
	return map[string]cadvisorapi.ContainerInfo{name: {
		Spec: cadvisorapi.ContainerSpec{HasMemory: true, Memory: cadvisorapi.MemorySpec{Limit: info.MemoryCapacity}},
		Stats: []*cadvisorapi.ContainerStats{{
			Timestamp: time.Now(), Memory: &cadvisorapi.MemoryStats{Usage: used, WorkingSet: used},
		}},
	}}, nil
}

// disk is the one file system.
func disk() cadvisorapi.FsInfo {
	return cadvisorapi.FsInfo{
		Device: "/dev/vda", Mountpoint: "/", Timestamp: time.Now(),
		Capacity: 100 << 30, Available: 90 << 30, Usage: 10 << 30,
	}
}

// RootFsInfo is about the file system of the machine.
func (m *machine) RootFsInfo() (cadvisorapi.FsInfo, error) { return disk(), nil }

// ImagesFsInfo is about the file system of images, which is the same.
func (m *machine) ImagesFsInfo(context.Context) (cadvisorapi.FsInfo, error) { return disk(), nil }

// ContainerFsInfo is about the file system of containers, which is the same.
func (m *machine) ContainerFsInfo(context.Context) (cadvisorapi.FsInfo, error) { return disk(), nil }

// GetDirFsInfo is about the file system of a directory, which is the same.
func (m *machine) GetDirFsInfo(string) (cadvisorapi.FsInfo, error) { return disk(), nil }
