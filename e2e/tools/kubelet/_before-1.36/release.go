// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"

	cadvisorv1 "github.com/google/cadvisor/info/v1"
	cadvisorv2 "github.com/google/cadvisor/info/v2"
	"go.opentelemetry.io/otel/trace/noop"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	internalapi "k8s.io/cri-api/pkg/apis"
	remote "k8s.io/cri-client/pkg"
	"k8s.io/klog/v2"
	cadvisortest "k8s.io/kubernetes/pkg/kubelet/cadvisor/testing"
	"k8s.io/kubernetes/pkg/kubelet/cm"
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

// connect connects to the container runtime.
func connect(ctx context.Context, endpoint string) (internalapi.RuntimeService, error) {
	logger := klog.FromContext(ctx)
	return remote.NewRemoteRuntimeService(endpoint, 15*time.Second, noop.NewTracerProvider(), &logger)
}

// containerManager is a container manager that manages nothing. Kubelets before 1.36 ask it for the resources of the machine before they
// resize a pod.
type containerManager struct{ cm.ContainerManager }

// newContainerManager returns the container manager.
func newContainerManager() cm.ContainerManager { return containerManager{cm.NewStubContainerManager()} }

// GetNodeAllocatableAbsolute returns what the machine has.
func (containerManager) GetNodeAllocatableAbsolute() corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1"), corev1.ResourceMemory: resource.MustParse("3Gi")}
}
