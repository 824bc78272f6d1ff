// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Command scale simulates a large cluster: thousands of kubelets, each with its own identity, register at the same time and then send
// heartbeats and pod statuses, with the idle time of the real periods skipped, to a real API server with the product as its chart
// registers it. It reports the calls of the product and its usage before, during and after.
//
// It runs in the directory e2e; make scale runs it.
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
	follow  bool
}

func main() {
	ctrllog.SetLogger(logr.Discard())
	var s settings
	flag.IntVar(&s.nodes, "nodes", 5000, "`number` of kubelets")
	flag.IntVar(&s.more, "more", 15000, "`number` of Nodes with which the cache of Nodes is measured last")
	flag.IntVar(&s.minutes, "minutes", 10, "simulated `minutes`; they take as long as the API server needs for the writes")
	flag.BoolVar(&s.follow, "follow", false, "install with webhook.followPolicies")
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
