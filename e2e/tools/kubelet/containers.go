// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"strings"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	fakeremote "k8s.io/cri-client/pkg/fake"
)

const (
	// exits and fails are prefixes of the tags of images whose containers exit on their own, with code 0 or 1.
	exits, fails = "exits", "fails"
	// lifetime is how long these containers run.
	lifetime = time.Second
)

// startContainers starts a container runtime with imaginary containers.
func startContainers(ctx context.Context, endpoint string) (*fakeremote.RemoteRuntime, error) {
	containers := fakeremote.NewFakeRemoteRuntime()
	containers.ImageService.SetFakeFilesystemUsage([]*runtimeapi.FilesystemUsage{{
		FsId: &runtimeapi.FilesystemIdentifier{Mountpoint: "/"}, UsedBytes: &runtimeapi.UInt64Value{Value: 1 << 30},
	}})
	if err := containers.Start(endpoint); err != nil {
		return nil, err
	}
	go func() {
		for tick := time.Tick(100 * time.Millisecond); ; {
			select {
			case <-ctx.Done():
				return
			case <-tick:
				endContainers(containers)
			}
		}
	}()
	return containers, nil
}

// endContainers ends the containers whose lifetime is over.
func endContainers(containers *fakeremote.RemoteRuntime) {
	service := containers.RuntimeService
	service.Lock()
	defer service.Unlock()
	now := time.Now()
	for _, c := range service.Containers {
		_, tag, _ := strings.Cut(c.Image.GetImage(), ":")
		ends := strings.HasPrefix(tag, exits) || strings.HasPrefix(tag, fails)
		if !ends || c.State != runtimeapi.ContainerState_CONTAINER_RUNNING ||
			now.Before(time.Unix(0, c.StartedAt).Add(lifetime)) {
			continue
		}
		c.State, c.FinishedAt, c.Reason = runtimeapi.ContainerState_CONTAINER_EXITED, now.UnixNano(), "Completed"
		if strings.HasPrefix(tag, fails) {
			c.ExitCode, c.Reason = 1, "Error"
		}
	}
}
