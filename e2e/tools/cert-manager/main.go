// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Command cert-manager is cert-manager for tests: each of its three programs, one at a time, with the code and the
// defaults of the release. What it leaves out is leader election and all issuers but those that are a Secret or nothing
// at all, which need no network. Its webhook listens on loopback only.
//
//	cert-manager controller --kubeconfig=file
//	cert-manager cainjector --kubeconfig=file
//	cert-manager webhook    --kubeconfig=file --port=1234
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	logf "github.com/cert-manager/cert-manager/pkg/logs"
)

// settings are the flags.
type settings struct {
	kubeconfig string
	port       int
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := klog.Background()
	ctrl.SetLogger(log)
	if err := run(logf.NewContext(ctx, log), log, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "cert-manager:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, log logr.Logger, args []string) error {
	if len(args) == 0 {
		return errors.New("want controller, cainjector or webhook")
	}
	var o settings
	flags := flag.NewFlagSet(args[0], flag.ExitOnError)
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "path of the kubeconfig")
	flags.IntVar(&o.port, "port", 0, "port of the webhook")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	switch args[0] {
	case "controller":
		return runController(ctx, o)
	case "cainjector":
		return runCAInjector(ctx, o)
	case "webhook":
		return runWebhook(ctx, log, o)
	}
	return fmt.Errorf("want controller, cainjector or webhook, not %q", args[0])
}
