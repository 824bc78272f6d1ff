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

// sample is the cost of one load.
type sample struct {
	p50, p95, p99 time.Duration
	// CPU time of the API server and of the variant's program for one write.
	server, webhook time.Duration
	// reference is the CPU time of etcd and the load generator, the same work for all variants: it shows how fast the machine was.
	reference time.Duration
	calls     float64 // for one write
	resident  float64 // of the variant's program, in MiB
	anonymous float64 // part of resident
}

// cell is a combination that has a sample in every round.
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

// measure measures every variant in every round, in a random order: a variant must not always follow the same other one. Denials come
// last, because programs continue to write about them.
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
			{[]kind{denied()}, func(v *variant) bool { return v.name == evaluated }},
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
		// The first writes open connections.
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
	// Reading the number of calls costs the program CPU time, too.
	callsBefore, err := v.called(ctx)
	if err != nil {
		return sample{}, err
	}
	// A garbage collection of this API server takes as long as a hundred writes: each load starts right after one.
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

// collect makes the API server collect its garbage.
func (b *bench) collect(ctx context.Context) error {
	return b.Admin.CoreV1().RESTClient().Get().AbsPath("/debug/pprof/heap").Param("gc", "1").Do(ctx).Error()
}

// usage is what programs have used so far: CPU time, and memory in MiB.
type usage struct {
	server, webhook, reference time.Duration
	resident, anonymous        float64
}

func (b *bench) used(v *variant) (u usage, err error) {
	if u.server, err = load.CPUTime(b.ControlPlane.PID()); err != nil {
		return u, err
	}
	store, err := load.CPUTime(b.ControlPlane.StorePID())
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
