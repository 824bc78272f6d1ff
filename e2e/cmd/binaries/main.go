// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Command binaries finds or builds the programs that e2e runs, and prints their paths, one per line.
//
//	go run ./cmd/binaries              all of them
//	go run ./cmd/binaries helm kubectl these
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"noderestriction.plus/e2e/binaries"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "binaries:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, names []string) error {
	programs, err := named(names)
	if err != nil {
		return err
	}
	for _, p := range programs {
		path, err := binaries.Path(ctx, os.Stderr, p)
		if err != nil {
			return err
		}
		fmt.Println(path)
	}
	return nil
}

// named returns the programs with these names, or all programs if there are no names.
func named(names []string) ([]binaries.Program, error) {
	all := binaries.All()
	if len(names) == 0 {
		return all, nil
	}
	var found []binaries.Program
	for _, name := range names {
		i := slices.IndexFunc(all, func(p binaries.Program) bool { return p.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("no program is called %q", name)
		}
		found = append(found, all[i])
	}
	return found, nil
}
