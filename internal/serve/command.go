// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package serve is the admission webhook's server: the command, its flags, and the program that they configure.
//
// Flags flow in one direction: the command parses options, and the program passes each part its own.
package serve

import (
	"context"
	"io"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/program"
)

// Command returns the command serve.
func Command() *cobra.Command {
	o := &options{}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the admission webhook",
		Long: "serve answers the API server: POST /admit evaluates what kubelets write to nodes and pods, POST /policies\n" +
			"validates NodeRestrictionPolicies. Standard output has the records of denials, one JSON line each, and nothing\n" +
			"else; the log goes to standard error.\n\n" +
			"It starts, and is live, while the API server is down; it is ready once it has read all policies.\n" +
			"Certificates and CAs are read again when their files change. A self-managed certificate is issued and renewed\n" +
			"by the program from a CA shared by all replicas.\n\n" +
			"On SIGTERM the readiness check fails, and requests are accepted for --shutdown-delay and until no more arrive.\n" +
			"Then those in flight are finished and the last records are written. A second SIGTERM ends the program at once.\n\n" +
			"Exit code: 0 after a signal; 1 if the program fails; 2 usage, or a file that cannot be read.",
		Args: command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.validate(); err != nil {
				return err
			}
			return run(cmd.Context(), o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	o.addFlags(cmd.Flags())
	return cmd
}

// run serves until a signal. An error in a file that a flag names ends it with code 2, any other error with 1.
func run(ctx context.Context, o *options, records, logs io.Writer) error {
	log, err := newLogger(logs, o.logLevel)
	if err != nil {
		return err
	}
	ctrl.SetLogger(log)
	klog.SetLogger(log.WithName("client-go"))

	// If standard output is closed, writes are still denied, and the lost records are counted.
	signal.Ignore(syscall.SIGPIPE)
	ctx, restoreSignals := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer restoreSignals()
	context.AfterFunc(ctx, restoreSignals) // a second signal ends the program at once

	in, err := read(o, log)
	if err != nil {
		return err
	}
	p, err := assemble(ctx, o, in, records, log)
	if err != nil {
		return &command.ExitError{Code: 1, Err: err}
	}
	log.Info("Starting", "version", program.Version(), "address", p.server.Address().String(), "boot", p.recorder.Boot())
	if err := p.run(ctx); err != nil {
		return &command.ExitError{Code: 1, Err: err}
	}
	log.Info("Stopped")
	return nil
}
