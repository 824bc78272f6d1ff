// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/load"
	"noderestriction.plus/e2e/metrics"
)

// uncollected is the environment of API servers that collect garbage only when they are asked to: a collection takes as long as a hundred
// writes, so the number of them in a short load would decide its cost. What the garbage of a load costs is added afterwards.
func uncollected() []string { return []string{"GOGC=off", "GOMEMLIMIT=3GiB"} }

// pairVariants are measured in pairs by default.
const pairVariants = "none,wired,evaluated"

// startPlain starts the API server with which the other one is compared.
func (b *bench) startPlain(ctx context.Context, o controlplane.APIServerOptions) error {
	o.Args = append(o.Args, "--disable-admission-plugins=ValidatingAdmissionWebhook")
	var err error
	if b.plain, err = b.ControlPlane.AddAPIServer(ctx, o); err != nil {
		return err
	}
	user, err := b.plain.Kubelet(b.kubelets[0].node)
	if err != nil {
		return err
	}
	client, err := rest.HTTPClientFor(user)
	b.plainKubelet = &kubelet{node: b.kubelets[0].node, host: user.Host, http: client}
	return err
}

// side is one of the two API servers of a pair.
type side struct {
	kubelet *kubelet
	pid     int
	admin   kubernetes.Interface
}

// pair is the CPU time of a write in two loads, one right after the other.
type pair struct {
	plain, server time.Duration
	webhook       time.Duration // of the variant's program
}

// phase is what was measured of a variant and a kind of write in one round.
type phase struct {
	pairs                    []pair
	calls                    float64 // of the variant's program for a write
	plainGarbage, serverGarb float64 // bytes for a write
}

// pairResults are all phases, by variant and kind of write.
type pairResults struct {
	settings
	variants []*variant
	version  string
	phases   map[cell][]phase
	// price is the CPU time, in seconds, that an API server which collects as usual spends on the collection of an allocated byte.
	price []float64
}

// pairKinds are the kinds of writes that are measured in pairs: also one with which a kubelet says that a pod has become ready, or not.
func pairKinds() []kind {
	ready := func(n int64) string {
		status := map[bool]string{false: "False", true: "True"}[n%2 == 0]
		return fmt.Sprintf(`{"status":{"conditions":[{"type":"Ready","status":%[1]q,"lastTransitionTime":%[2]q},`+
			`{"type":"ContainersReady","status":%[1]q,"lastTransitionTime":%[2]q}]}}`, status, at(n))
	}
	pods := kinds()[1]
	return append(kinds(), kind{name: "pods/status, ready", path: pods.path, body: ready, want: http.StatusOK})
}

// measurePairs measures the variants in every round, in a random order.
func (b *bench) measurePairs(ctx context.Context) (*pairResults, error) {
	r := &pairResults{settings: b.settings, variants: b.variants, version: goVersion(ctx), phases: map[cell][]phase{}}
	admin, err := b.plain.Admin()
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(admin)
	if err != nil {
		return nil, err
	}
	plain := side{b.plainKubelet, b.plain.PID(), client}
	server := side{b.kubelets[0], b.ControlPlane.PID(), b.Admin}
	for round := range b.settings.rounds {
		for _, i := range rand.New(rand.NewPCG(2, uint64(round))).Perm(len(b.variants)) {
			v := b.variants[i]
			if !b.chosen(v) {
				continue
			}
			fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", round+1, b.settings.rounds, v.name)
			if err := b.wire(ctx, v); err != nil {
				return nil, err
			}
			for _, what := range pairKinds() {
				p, price, err := b.measurePhase(ctx, v, what, plain, server)
				if err != nil {
					return nil, err
				}
				c := cell{v.name, what.name, 1}
				r.phases[c] = append(r.phases[c], p)
				r.price = append(r.price, price...)
			}
		}
	}
	return r, nil
}

// measurePhase measures pairs of loads. The two API servers take turns at being first.
func (b *bench) measurePhase(ctx context.Context, v *variant, what kind, plain, server side) (p phase, price []float64, err error) {
	sides := []side{plain, server}
	var before [2]memory
	for i, s := range sides {
		// The first writes open connections.
		if _, err := writeAll(ctx, []*kubelet{s.kubelet}, what, warmUps, &b.sequence); err != nil {
			return p, nil, err
		}
		spent, err := s.collect(ctx)
		if err != nil {
			return p, nil, err
		}
		price = append(price, spent)
		if before[i], err = s.memory(ctx); err != nil {
			return p, nil, err
		}
	}
	callsBefore, err := v.called(ctx)
	if err != nil {
		return p, nil, err
	}
	for n := range b.settings.pairs {
		var one pair
		for turn := range 2 {
			i := (n + turn) % 2
			used, webhook, err := b.load(ctx, v, what, sides[i])
			if err != nil {
				return p, nil, err
			}
			if i == 0 {
				one.plain = used
			} else {
				one.server, one.webhook = used, webhook
			}
		}
		p.pairs = append(p.pairs, one)
	}
	callsAfter, err := v.called(ctx)
	if err != nil {
		return p, nil, err
	}
	writes := float64(b.settings.pairs * b.settings.writes)
	p.calls = (callsAfter - callsBefore) / writes
	var garbage [2]float64
	for i, s := range sides {
		after, err := s.memory(ctx)
		if err != nil {
			return p, nil, err
		}
		if after.collections != before[i].collections {
			return p, nil, fmt.Errorf("%s, %s: the API server collected garbage during a load; use fewer -writes or -pairs", v.name, what.name)
		}
		garbage[i] = (after.allocated - before[i].allocated) / writes
	}
	p.plainGarbage, p.serverGarb = garbage[0], garbage[1]
	return p, price, nil
}

// warmUps are the writes of a phase that are not measured, of each API server.
const warmUps = 32

// load makes one kubelet write, and returns the CPU time of a write for the API server and for the variant's program.
func (b *bench) load(ctx context.Context, v *variant, what kind, s side) (server, webhook time.Duration, err error) {
	read := func() (server, webhook time.Duration, err error) {
		if server, err = load.CPUTime(s.pid); err != nil || v.process == nil {
			return server, 0, err
		}
		webhook, err = load.CPUTime(v.process.PID())
		return server, webhook, err
	}
	serverBefore, webhookBefore, err := read()
	if err != nil {
		return 0, 0, err
	}
	if _, err := writeAll(ctx, []*kubelet{s.kubelet}, what, b.settings.writes, &b.sequence); err != nil {
		return 0, 0, err
	}
	serverAfter, webhookAfter, err := read()
	n := time.Duration(b.settings.writes)
	return (serverAfter - serverBefore) / n, (webhookAfter - webhookBefore) / n, err
}

// memory is what an API server has allocated so far, in bytes, and how often it has collected garbage by itself.
type memory struct {
	allocated, live, collecting float64
	collections                 float64
}

func (s side) memory(ctx context.Context) (memory, error) {
	m, err := metrics.FromAPIServer(ctx, s.admin)
	return memory{
		allocated: m.Sum("go_gc_heap_allocs_bytes_total"), live: m.Sum("go_gc_heap_live_bytes"),
		collecting:  m.Sum("go_cpu_classes_gc_total_cpu_seconds_total"),
		collections: m.Sum("go_gc_cycles_automatic_gc_cycles_total"),
	}, err
}

// collect makes an API server collect its garbage, and returns what it would spend on an allocated byte if it collected as usual, when the
// heap has doubled, in seconds of CPU time.
func (s side) collect(ctx context.Context) (float64, error) {
	before, err := s.memory(ctx)
	if err != nil {
		return 0, err
	}
	if err := s.admin.CoreV1().RESTClient().Get().AbsPath("/debug/pprof/heap").Param("gc", "1").Do(ctx).Error(); err != nil {
		return 0, err
	}
	after, err := s.memory(ctx)
	if err != nil {
		return 0, err
	}
	if after.live == 0 || after.collecting == before.collecting {
		return 0, errors.New("the API server does not say what its garbage collection costs")
	}
	return (after.collecting - before.collecting) / after.live, nil
}
