// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/kubeconfig"
)

const (
	// retryInterval is the time between two attempts of the command.
	retryInterval = time.Second
	// maxTimeout bounds --timeout.
	maxTimeout = time.Hour
)

// Command returns the command probe.
func Command() *cobra.Command {
	var path string
	var timeout time.Duration
	var webhooks []string
	cmd := &cobra.Command{
		Use:   "probe",
		Short: "Verify that the API server calls the webhook for kubelets' writes",
		Long: "probe asks the API server, as dry runs, to create a Node and CSINodes in the name of a kubelet that does not exist. Each\n" +
			"of these writes goes to one webhook of the ValidatingWebhookConfiguration, which denies it whatever the policies\n" +
			"say. Nothing is changed.\n\n" +
			"It requires permission to impersonate that kubelet. It retries until all are denied or the time is over.\n\n" +
			"Exit code: 0 if all were denied; 1 if the API server allowed one; 2 usage, or the result is not known.",
		Args: command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if timeout < 0 || timeout > maxTimeout {
				return fmt.Errorf("--timeout: must be from 0s to %s, not %s", maxTimeout, timeout)
			}
			if err := ValidateWebhooks(webhooks); err != nil {
				return fmt.Errorf("--webhooks: %w", err)
			}
			return run(cmd.Context(), cmd.OutOrStdout(), path, webhooks, timeout)
		},
	}
	cmd.Flags().StringVar(&path, "kubeconfig", "", kubeconfig.Usage)
	cmd.Flags().DurationVar(&timeout, "timeout", time.Minute, "`time` after which it gives up; 0s tries once")
	cmd.Flags().StringSliceVar(&webhooks, "webhooks", DefaultWebhooks(),
		"`webhooks` to probe, out of gate, registration, status,\nothers, policies")
	return cmd
}

// run retries until all writes are denied or the time is over.
func run(ctx context.Context, out io.Writer, path string, webhooks []string, timeout time.Duration) error {
	config, err := kubeconfig.Load(path)
	if err != nil {
		return fmt.Errorf("--kubeconfig: %w", err)
	}
	asker, err := NewAsker(config, webhooks)
	if err != nil {
		return fmt.Errorf("--kubeconfig: %w", err)
	}
	over := time.After(timeout)
	for {
		answers := asker.Ask(ctx)
		if answers.Result == Denied {
			_, err := fmt.Fprintln(out, answers.Detail)
			return err
		}
		select {
		case <-over:
			return resultError(answers)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(retryInterval):
		}
	}
}

// resultError is the error for answers other than [Denied].
func resultError(answers Answers) error {
	code := 2
	if answers.Result == Allowed {
		code = 1
	}
	return &command.ExitError{Code: code, Err: errors.New(answers.Detail)}
}
