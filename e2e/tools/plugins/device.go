// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
	deviceplugin "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
	stub "k8s.io/kubernetes/pkg/kubelet/cm/devicemanager/plugin/v1beta1"
)

// hostDevice is the device of the machine that containers get, under another name.
const hostDevice = "/dev/null"

// devices are those of a device plugin.
type devices struct {
	resource string
	count    int
	path     string // in containers
}

// newDevicePlugin returns the command device-plugin, which offers devices to the kubelet of this machine.
func newDevicePlugin() *cobra.Command {
	d := &devices{}
	cmd := &cobra.Command{
		Use:  "device-plugin",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return d.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.StringVar(&d.resource, "resource", "", "name of the resource, such as example.com/device")
	flags.IntVar(&d.count, "count", 1, "number of devices")
	flags.StringVar(&d.path, "path", "", "path of the device in a container that has one")
	return cmd
}

func (d *devices) run(ctx context.Context) error {
	var all []*deviceplugin.Device
	for i := range d.count {
		all = append(all, &deviceplugin.Device{ID: fmt.Sprintf("device-%d", i), Health: deviceplugin.Healthy})
	}
	socket := filepath.Join(deviceplugin.DevicePluginPath, "plugin.sock")
	plugin := stub.NewDevicePluginStub(klog.FromContext(ctx), all, socket, d.resource, false, false)
	plugin.SetAllocFunc(d.allocate)
	if err := plugin.Start(ctx); err != nil {
		return err
	}
	if err := plugin.Register(ctx, deviceplugin.KubeletSocket, d.resource, ""); err != nil {
		return errors.Join(err, plugin.Stop(klog.FromContext(ctx)))
	}
	go plugin.Watch(ctx, deviceplugin.KubeletSocket, d.resource, "") // registers again with a kubelet that has restarted
	<-ctx.Done()
	return nil // the kubelet sees that the connection ends
}

// allocate gives each container its device.
func (d *devices) allocate(
	r *deviceplugin.AllocateRequest, _ map[string]*deviceplugin.Device,
) (*deviceplugin.AllocateResponse, error) {
	response := &deviceplugin.AllocateResponse{}
	for range r.GetContainerRequests() {
		response.ContainerResponses = append(response.ContainerResponses, &deviceplugin.ContainerAllocateResponse{
			Devices: []*deviceplugin.DeviceSpec{{ContainerPath: d.path, HostPath: hostDevice, Permissions: "rw"}},
		})
	}
	return response, nil
}
