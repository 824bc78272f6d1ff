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
	pairs   int
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
	flag.StringVar(&s.only, "variants", "", "comma-separated `variants` to measure; empty: all, and with -pairs "+pairVariants)
	flag.IntVar(&s.pairs, "pairs", 0,
		"compare only the API server's CPU time of a write with that of an API server that calls no webhook, in this `number` of pairs of "+
			"short loads of each variant, kind of write and round; 0: the whole report")
	flag.StringVar(&s.profile, "profile", "", "`file` for a CPU profile of the product while it evaluates, instead of a report")
	flag.StringVar(&s.serve, "serve", "", "be a webhook for comparison: noop or typed; used by this command itself")
	flag.IntVar(&s.reviews, "reviews", 4000,
		"`number` of reviews without an API server for one number of clients in one round")
	flag.Parse()
	s.clients = []int{1, 8, 32}
	if s.pairs > 0 && s.only == "" {
		s.only = pairVariants
	}
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
	if s.rounds < 1 || s.writes < 32 || s.nodes < 32 || s.reviews < 256 || s.pairs < 0 {
		return errors.New("-rounds must be at least 1, -writes and -nodes at least 32, -reviews at least 256, -pairs not negative")
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
	if s.pairs > 0 {
		r, err := b.measurePairs(ctx)
		if err != nil {
			return err
		}
		return publish(s, "make bench-pairs", r.report(), os.Stdout)
	}
	if s.profile != "" {
		return b.takeProfile(ctx)
	}
	results, err := b.measure(ctx)
	if err != nil {
		return err
	}
	return publish(s, "make bench", results.report(), os.Stdout)
}

// publish prints a report, and writes it to the page with -keep, as the part of a command.
func publish(s settings, command, text string, out io.Writer) error {
	if _, err := io.WriteString(out, text); err != nil || !s.keep {
		return err
	}
	return load.ReplacePart(command, text)
}
