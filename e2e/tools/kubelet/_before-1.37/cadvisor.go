// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	cadvisorv1 "github.com/google/cadvisor/info/v1"
	cadvisorv2 "github.com/google/cadvisor/info/v2"
	cadvisortest "k8s.io/kubernetes/pkg/kubelet/cadvisor/testing"
)

type (
	requestOptions = cadvisorv2.RequestOptions
	containerInfo  = cadvisorv2.ContainerInfo
	containerSpec  = cadvisorv2.ContainerSpec
	containerStats = cadvisorv2.ContainerStats
	memorySpec     = cadvisorv2.MemorySpec
	memoryStats    = cadvisorv1.MemoryStats
	fsInfo         = cadvisorv2.FsInfo
)

// memoryCapacity returns the memory of a machine.
func memoryCapacity(machine *cadvisortest.Fake) (uint64, error) {
	info, err := machine.MachineInfo()
	if err != nil {
		return 0, err
	}
	return info.MemoryCapacity, nil
}
