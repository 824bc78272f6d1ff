// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Command plugins has plugins that register with a kubelet: a CSI driver, a device plugin and a DRA driver. Each runs until it gets a
// signal to terminate.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	cmd := &cobra.Command{Use: "plugins"}
	cmd.AddCommand(newCSIDriver(), newDevicePlugin(), newDRADriver())
	err := cmd.ExecuteContext(ctx) // which prints the error
	stop()
	if err != nil {
		os.Exit(1)
	}
}
