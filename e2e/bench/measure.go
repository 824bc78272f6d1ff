// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"noderestriction.plus/e2e/load"
)

// sample is what one load cost.
type sample struct {
	p50, p95, p99 time.Duration
	// CPU time a write, of the API server and of the variant's program.
	server, webhook time.Duration
	// reference is that of what is the same for all variants, etcd and the load generator: how fast the machine was meanwhile.
	reference time.Duration
	calls     float64 // a write
	resident  float64 // of the variant's program, in MiB
	anonymous float64 // part of that
}

// cell is a combination of which every round has a sample.
type cell struct {
	variant, kind string
	clients       int
}

// results are all samples, by round.
type results struct {
	settings
	variants []*variant
	idle     map[string]float64
	version  string
	rounds   []map[cell]sample
	direct   []map[cell]directSample
}

// measure has every variant take its turn in every round, in an order that is drawn: what the one before leaves behind must not
// always meet the same one. Denials come last, as programs go on writing about them.
func (b *bench) measure(ctx context.Context) (*results, error) {
	r := &results{settings: b.settings, variants: b.variants, idle: b.idle, version: goVersion(ctx)}
	for round := range b.settings.rounds {
		samples := map[cell]sample{}
		order := rand.New(rand.NewPCG(1, uint64(round))).Perm(len(b.variants))
		for _, turn := range []struct {
			kinds []kind
			has   func(*variant) bool
		}{
			{kinds(), func(*variant) bool { return true }},
			{[]kind{denied()}, func(v *variant) bool { return v.name == judged }},
		} {
			for _, i := range order {
				v := b.variants[i]
				if !b.chosen(v) || !turn.has(v) {
					continue
				}
				fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", round+1, b.settings.rounds, v.name)
				if err := b.measureVariant(ctx, v, turn.kinds, samples); err != nil {
					return nil, err
				}
			}
		}
		r.rounds = append(r.rounds, samples)
	}
	var err error
	r.direct, err = b.measureDirect(ctx)
	return r, err
}

func (b *bench) measureVariant(ctx context.Context, v *variant, kinds []kind, samples map[cell]sample) error {
	if err := b.wire(ctx, v); err != nil {
		return err
	}
	for _, what := range kinds {
		// The first writes make connections.
		if _, err := writeAll(ctx, b.kubelets, what, 2*len(b.kubelets), &b.sequence); err != nil {
			return err
		}
		for _, clients := range b.clients {
			s, err := b.sample(ctx, v, what, clients)
			if err != nil {
				return err
			}
			samples[cell{v.name, what.name, clients}] = s
		}
	}
	return nil
}

func (b *bench) sample(ctx context.Context, v *variant, what kind, clients int) (sample, error) {
	// To be asked how often it was called costs a program CPU time, too.
	callsBefore, err := v.called(ctx)
	if err != nil {
		return sample{}, err
	}
	// A collection takes an API server of this size as long as a hundred writes: each load begins right after one.
	if err := b.collect(ctx); err != nil {
		return sample{}, err
	}
	before, err := b.used(v)
	if err != nil {
		return sample{}, err
	}
	took, err := writeAll(ctx, b.kubelets[:clients], what, b.writes, &b.sequence)
	if err != nil {
		return sample{}, err
	}
	after, err := b.used(v)
	if err != nil {
		return sample{}, err
	}
	callsAfter, err := v.called(ctx)
	if err != nil {
		return sample{}, err
	}
	n := len(took)
	return sample{
		p50: took[n/2], p95: took[n*95/100], p99: took[n*99/100],
		server:    (after.server - before.server) / time.Duration(n),
		webhook:   (after.webhook - before.webhook) / time.Duration(n),
		reference: (after.reference - before.reference) / time.Duration(n),
		calls:     (callsAfter - callsBefore) / float64(n), resident: after.resident, anonymous: after.anonymous,
	}, nil
}

// collect has the API server collect its garbage.
func (b *bench) collect(ctx context.Context) error {
	return b.admin.Get().AbsPath("/debug/pprof/heap").Param("gc", "1").Do(ctx).Error()
}

// usage is what programs have used so far: CPU time, and memory in MiB.
type usage struct {
	server, webhook, reference time.Duration
	resident, anonymous        float64
}

func (b *bench) used(v *variant) (u usage, err error) {
	if u.server, err = load.CPUTime(b.plane.PID()); err != nil {
		return u, err
	}
	store, err := load.CPUTime(b.plane.StorePID())
	if err != nil {
		return u, err
	}
	self, err := load.CPUTime(os.Getpid())
	if u.reference = store + self; err != nil || v.process == nil {
		return u, err
	}
	if u.webhook, err = load.CPUTime(v.process.PID()); err != nil {
		return u, err
	}
	if u.anonymous, err = load.AnonymousMiB(v.process.PID()); err != nil {
		return u, err
	}
	u.resident, err = load.ResidentMiB(v.process.PID())
	return u, err
}
