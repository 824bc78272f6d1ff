// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/dynamic-resource-allocation/kubeletplugin"
	"k8s.io/dynamic-resource-allocation/resourceslice"
	cdi "tags.cncf.io/container-device-interface/specs-go"
)

const (
	// deviceName is the name of the driver's only device.
	deviceName = "device-0"
	// healthInterval is how often the driver reports that the device is healthy; the kubelet believes a report for 30 s.
	healthInterval = 10 * time.Second
	cdiVersion     = "0.6.0"
)

// draDriver is a DRA driver with one device.
type draDriver struct {
	name, node          string
	kubeconfig, rootDir string
	cdiDir              string
	path                string // of the device, in a container that has a claim
}

// newDRADriver returns the command dra-driver, which publishes a device in a ResourceSlice and prepares it for claims.
func newDRADriver() *cobra.Command {
	d := &draDriver{}
	cmd := &cobra.Command{
		Use:  "dra-driver",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return d.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.StringVar(&d.name, "name", "", "name of the driver")
	flags.StringVar(&d.node, "node", "", "name of the Node")
	flags.StringVar(&d.kubeconfig, "kubeconfig", "", "path of the driver's own kubeconfig")
	flags.StringVar(&d.rootDir, "root-dir", "", "directory of the kubelet's data")
	flags.StringVar(&d.cdiDir, "cdi-dir", "", "directory in which the container runtime finds descriptions of devices")
	flags.StringVar(&d.path, "path", "", "path of the device in a container that has a claim")
	return cmd
}

func (d *draDriver) run(ctx context.Context) error {
	config, err := clientcmd.BuildConfigFromFlags("", d.kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	data := filepath.Join(d.rootDir, "plugins", d.name)
	if err := os.MkdirAll(data, 0o750); err != nil {
		return err
	}
	helper, err := kubeletplugin.Start(ctx, d,
		kubeletplugin.DriverName(d.name), kubeletplugin.NodeName(d.node), kubeletplugin.KubeClient(client),
		kubeletplugin.PluginDataDirectoryPath(data),
		kubeletplugin.RegistrarDirectoryPath(filepath.Join(d.rootDir, "plugins_registry")),
	)
	if err != nil {
		return err
	}
	defer helper.Stop()
	err = helper.PublishResources(ctx, resourceslice.DriverResources{Pools: map[string]resourceslice.Pool{
		d.node: {Slices: []resourceslice.Slice{{Devices: []resourcev1.Device{{Name: deviceName}}}}},
	}})
	if err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// PrepareResourceClaims implements kubeletplugin.DRAPlugin: it describes the device of each claim to the container runtime.
func (d *draDriver) PrepareResourceClaims(
	_ context.Context, claims []*resourcev1.ResourceClaim,
) (map[types.UID]kubeletplugin.PrepareResult, error) {
	results := map[types.UID]kubeletplugin.PrepareResult{}
	for _, claim := range claims {
		results[claim.UID] = d.prepare(claim)
	}
	return results, nil
}

func (d *draDriver) prepare(claim *resourcev1.ResourceClaim) kubeletplugin.PrepareResult {
	kind := d.name + "/device"
	data, err := json.Marshal(cdi.Spec{
		Version: cdiVersion, Kind: kind,
		Devices: []cdi.Device{{Name: string(claim.UID), ContainerEdits: cdi.ContainerEdits{
			DeviceNodes: []*cdi.DeviceNode{{Path: d.path, HostPath: hostDevice}},
		}}},
	})
	if err != nil {
		return kubeletplugin.PrepareResult{Err: err}
	}
	// After a reboot the directory is gone.
	if err := errors.Join(os.MkdirAll(d.cdiDir, 0o755), os.WriteFile(d.cdiFile(claim.UID), data, 0o644)); err != nil {
		return kubeletplugin.PrepareResult{Err: err}
	}
	var result kubeletplugin.PrepareResult
	for _, allocated := range claim.Status.Allocation.Devices.Results {
		if allocated.Driver == d.name {
			result.Devices = append(result.Devices, kubeletplugin.Device{
				Requests: []string{allocated.Request}, PoolName: allocated.Pool, DeviceName: allocated.Device,
				CDIDeviceIDs: []string{kind + "=" + string(claim.UID)},
			})
		}
	}
	return result
}

// UnprepareResourceClaims implements kubeletplugin.DRAPlugin.
func (d *draDriver) UnprepareResourceClaims(
	_ context.Context, claims []kubeletplugin.NamespacedObject,
) (map[types.UID]error, error) {
	results := map[types.UID]error{}
	for _, claim := range claims {
		err := os.Remove(d.cdiFile(claim.UID))
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		results[claim.UID] = err
	}
	return results, nil
}

func (d *draDriver) cdiFile(claim types.UID) string {
	return filepath.Join(d.cdiDir, fmt.Sprintf("%s-%s.json", d.name, claim))
}

// HandleError implements kubeletplugin.DRAPlugin.
func (d *draDriver) HandleError(ctx context.Context, err error, message string) {
	utilruntime.HandleErrorWithContext(ctx, err, message)
}

// WatchHealthStatus implements kubeletplugin.DRAPlugin: the device is always healthy.
func (d *draDriver) WatchHealthStatus(ctx context.Context, reports chan<- kubeletplugin.DeviceHealthReport) error {
	tick := time.NewTicker(healthInterval)
	defer tick.Stop()
	for {
		report := kubeletplugin.DeviceHealthReport{Devices: []kubeletplugin.DeviceHealth{{
			PoolName: d.node, DeviceName: deviceName, Health: kubeletplugin.HealthStatusHealthy, LastUpdated: time.Now(),
		}}}
		select {
		case <-ctx.Done():
			return nil
		case reports <- report:
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
