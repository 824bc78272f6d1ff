package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"noderestriction.plus/internal/cli"
	"noderestriction.plus/internal/probe"
)

const (
	// probeRetry is the time between two tries of the command probe.
	probeRetry = time.Second
	// maxProbeTimeout bounds --timeout of the command probe.
	maxProbeTimeout = time.Hour
)

func probeCommand() *cobra.Command {
	var kubeconfig string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "probe",
		Short: "Prove that the API server asks about kubelets, and that they are denied",
		Long: "probe asks the API server, as a dry run, to register a Node in the name of a kubelet that does not exist. The\n" +
			"webhook must deny that; whatever the policies say, it does. Nothing is changed.\n\n" +
			"It needs the right to impersonate that kubelet. It tries again until the write is denied or the time is over.\n" +
			"The exit code is 0 if it was denied, 1 if the API server let it pass, 2 if that could not be told.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if timeout < 0 || timeout > maxProbeTimeout {
				return fmt.Errorf("--timeout: must be from 0s to %s, not %s", maxProbeTimeout, timeout)
			}
			return runProbe(cmd.Context(), cmd.OutOrStdout(), kubeconfig, timeout)
		},
	}
	cmd.Flags().StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig `file`; without it, the service account of the Pod")
	cmd.Flags().DurationVar(&timeout, "timeout", time.Minute, "`time` for which it tries; 0s is one try")
	return cmd
}

// runProbe tries until the write is denied or the time is over.
func runProbe(ctx context.Context, out io.Writer, kubeconfig string, timeout time.Duration) error {
	config, err := restConfig(kubeconfig)
	if err != nil {
		return fmt.Errorf("--kubeconfig: %w", err)
	}
	asker, err := probe.NewAsker(config)
	if err != nil {
		return fmt.Errorf("--kubeconfig: %w", err)
	}
	over := time.After(timeout)
	for {
		result, detail := asker.Ask(ctx)
		if result == probe.Denied {
			_, err := fmt.Fprintln(out, detail)
			return err
		}
		select {
		case <-over:
			return probeError(result, detail)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(probeRetry):
		}
	}
}

// probeError is the error for a result other than [probe.Denied].
func probeError(result probe.Result, detail string) error {
	code := 2
	if result == probe.Allowed {
		code = 1
	}
	return &cli.ExitError{Code: code, Err: errors.New(detail)}
}
