// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

// csiDriver is a CSI driver without volumes: what a node plugin and its registrar say to the kubelet when the driver is registered.
type csiDriver struct {
	csi.UnimplementedNodeServer
	registration.UnimplementedRegistrationServer

	name, nodeID string
	topology     map[string]string
	rootDir      string // of the kubelet
	refused      chan error
}

// newCSIDriver returns the command csi-driver, which runs a driver until the process ends, or the kubelet does not register it.
func newCSIDriver() *cobra.Command {
	d := &csiDriver{refused: make(chan error, 1)}
	cmd := &cobra.Command{
		Use:  "csi-driver",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return d.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.StringVar(&d.rootDir, "root-dir", "", "directory of the kubelet's data")
	flags.StringVar(&d.name, "name", "", "name of the driver")
	flags.StringVar(&d.nodeID, "node-id", "", "ID of the node for the driver")
	flags.StringToStringVar(&d.topology, "topology", nil, "topology of the node, such as example.com/zone=a")
	return cmd
}

func (d *csiDriver) run(ctx context.Context) error {
	server := grpc.NewServer()
	csi.RegisterNodeServer(server, d)
	registration.RegisterRegistrationServer(server, d)
	// The kubelet calls the endpoint once it has seen the socket for registration.
	for _, path := range []string{d.endpoint(), filepath.Join(d.rootDir, "plugins_registry", d.name+"-reg.sock")} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		listener, err := new(net.ListenConfig).Listen(ctx, "unix", path)
		if err != nil {
			return err
		}
		go func() { _ = server.Serve(listener) }()
	}
	defer server.Stop() // removes the sockets
	select {
	case <-ctx.Done():
		return nil
	case err := <-d.refused:
		return err
	}
}

func (d *csiDriver) endpoint() string { return filepath.Join(d.rootDir, d.name+".sock") }

// GetInfo implements registration.RegistrationServer.
func (d *csiDriver) GetInfo(context.Context, *registration.InfoRequest) (*registration.PluginInfo, error) {
	return &registration.PluginInfo{
		Type: registration.CSIPlugin, Name: d.name, Endpoint: d.endpoint(), SupportedVersions: []string{"1.0.0"},
	}, nil
}

// NotifyRegistrationStatus implements registration.RegistrationServer.
func (d *csiDriver) NotifyRegistrationStatus(
	_ context.Context, status *registration.RegistrationStatus,
) (*registration.RegistrationStatusResponse, error) {
	if !status.GetPluginRegistered() {
		d.refused <- fmt.Errorf("the kubelet does not register the driver: %s", status.GetError())
	}
	return &registration.RegistrationStatusResponse{}, nil
}

// NodeGetInfo implements csi.NodeServer.
func (d *csiDriver) NodeGetInfo(context.Context, *csi.NodeGetInfoRequest) (*csi.NodeGetInfoResponse, error) {
	return &csi.NodeGetInfoResponse{NodeId: d.nodeID, AccessibleTopology: &csi.Topology{Segments: d.topology}}, nil
}
