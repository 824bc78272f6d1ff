// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/go-logr/logr"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"noderestriction.plus/e2e/load"
)

// settings are the command's flags.
type settings struct {
	rounds  int
	writes  int
	clients []int
	nodes   int
	serve   string
	only    string
	profile string
	reviews int
	keep    bool
}

// most returns the largest number of clients.
func (s *settings) most() int { return s.clients[len(s.clients)-1] }

// chosen reports whether a variant is to be measured.
func (s *settings) chosen(v *variant) bool {
	return s.only == "" || slices.Contains(strings.Split(s.only, ","), v.name)
}

func main() {
	ctrllog.SetLogger(logr.Discard())
	var s settings
	flag.IntVar(&s.rounds, "rounds", 5, "`number` of rounds in which every variant has its turn")
	flag.IntVar(&s.writes, "writes", 1000, "`number` of writes of one variant at one number of clients in one round")
	flag.IntVar(&s.nodes, "nodes", 5000, "`number` of Nodes in the cluster")
	flag.BoolVar(&s.keep, "keep", false, "write the report into docs/performance.md")
	flag.StringVar(&s.only, "variants", "", "comma-separated `variants` to measure; empty: all")
	flag.StringVar(&s.profile, "profile", "", "`file` for a CPU profile of the product while it evaluates, instead of a report")
	flag.StringVar(&s.serve, "serve", "", "be a webhook for comparison: noop or typed; used by this command itself")
	flag.IntVar(&s.reviews, "reviews", 4000,
		"`number` of reviews without an API server for one number of clients in one round")
	flag.Parse()
	s.clients = []int{1, 8, 32}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) (err error) {
	if s.serve != "" {
		return serve(ctx, s.serve, flag.Args())
	}
	if s.rounds < 1 || s.writes < 32 || s.nodes < 32 || s.reviews < 256 {
		return errors.New("-rounds must be at least 1, -writes and -nodes at least 32, -reviews at least 256")
	}
	dir, err := os.MkdirTemp("", "nrp-bench-")
	if err != nil {
		return err
	}
	defer func() {
		if err == nil {
			err = os.RemoveAll(dir)
		}
	}()
	b, err := newBench(ctx, s, dir)
	if err != nil {
		return err
	}
	defer b.stop()
	if s.profile != "" {
		return b.takeProfile(ctx)
	}
	results, err := b.measure(ctx)
	if err != nil {
		return err
	}
	return publish(s, results, os.Stdout)
}

// publish prints the report, and writes it to the page with -keep.
func publish(s settings, r *results, out io.Writer) error {
	text := r.report()
	if _, err := io.WriteString(out, text); err != nil || !s.keep {
		return err
	}
	return load.ReplacePart("make bench", text)
}
