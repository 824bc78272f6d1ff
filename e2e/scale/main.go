// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Command scale simulates a large cluster: thousands of kubelets with identities of their own register at once, then send their
// heartbeats and their pods' statuses, at their real periods compressed in time, to a real API server with the product in front
// as its chart wires it. It tells what the product is asked, and what it uses before, during and after.
//
// It runs in the folder e2e; make scale runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"noderestriction.plus/e2e/load"
)

// settings are the command's flags.
type settings struct {
	nodes   int
	more    int
	minutes int
	keep    bool
}

func main() {
	ctrllog.SetLogger(logr.Discard())
	var s settings
	flag.IntVar(&s.nodes, "nodes", 5000, "`number` of kubelets")
	flag.IntVar(&s.more, "more", 15000, "`number` of Nodes up to which the cache of Nodes is measured")
	flag.IntVar(&s.minutes, "minutes", 10, "`minutes` of the kubelets' life; they take as long as the API server needs for their writes")
	flag.BoolVar(&s.keep, "keep", false, "write the report into docs/performance.md")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) (err error) {
	if s.nodes < 1 || s.more < s.nodes || s.minutes < 5 {
		return errors.New("-nodes must be at least 1, -more at least as many, and -minutes at least 5, a heartbeat's period")
	}
	dir, err := os.MkdirTemp("", "nrp-scale-")
	if err != nil {
		return err
	}
	defer func() {
		if err == nil {
			err = os.RemoveAll(dir)
		}
	}()
	c, err := newCluster(ctx, s, dir)
	if err != nil {
		return err
	}
	defer c.stop()
	r := &report{settings: s}
	for _, phase := range []struct {
		name string
		run  func(context.Context, *report) error
	}{
		{"registration", c.register}, {"steady state", c.live}, {"cache of nodes", c.cacheNodes}, {"many policies", c.manyPolicies},
	} {
		start := time.Now()
		if err := phase.run(ctx, r); err != nil {
			return fmt.Errorf("%s: %w", phase.name, err)
		}
		fmt.Fprintf(os.Stderr, "%s: done in %s\n", phase.name, time.Since(start).Round(time.Second))
	}
	text := r.markdown()
	fmt.Print(text)
	if !s.keep {
		return nil
	}
	return load.ReplacePart("make scale", text)
}
