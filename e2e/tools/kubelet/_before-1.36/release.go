// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/trace/noop"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	internalapi "k8s.io/cri-api/pkg/apis"
	remote "k8s.io/cri-client/pkg"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/kubelet/cm"
)

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
