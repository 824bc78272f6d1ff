// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	cadvisorapi "github.com/google/cadvisor/lib/model"
	"k8s.io/klog/v2"
	cadvisortest "k8s.io/kubernetes/pkg/kubelet/cadvisor/testing"
)

// This file has what differs between releases of Kubernetes. _before-1.37 has it for older ones.

type (
	requestOptions = cadvisorapi.RequestOptions
	containerInfo  = cadvisorapi.ContainerInfo
	containerSpec  = cadvisorapi.ContainerSpec
	containerStats = cadvisorapi.ContainerStats
	memorySpec     = cadvisorapi.MemorySpec
	memoryStats    = cadvisorapi.MemoryStats
	fsInfo         = cadvisorapi.FsInfo
)

// memoryCapacity returns the memory of a machine.
func memoryCapacity(machine *cadvisortest.Fake) (uint64, error) {
	info, err := machine.MachineInfo(klog.Background())
	if err != nil {
		return 0, err
	}
	return info.MemoryCapacity, nil
}
