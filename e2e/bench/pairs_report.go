// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"time"
)

// report returns the results in Markdown.
func (r *pairResults) report() string {
	var w strings.Builder
	slices.Sort(r.price)
	price := median(r.price)
	fmt.Fprintf(&w, "Measured by `make bench-pairs` on %s with %d processors (%s, kube-apiserver 1.37.2 and etcd on loopback, %d Nodes in "+
		"the cluster): %d rounds. In each, every variant had %d pairs of loads of %d writes by one kubelet, on two API servers by "+
		"turns, one of them without the plugin that calls webhooks. A ratio is the median of the pairs of the variant, divided by that of "+
		"*none*, with its 95 %% confidence interval: what differs between the two processes has no effect. API servers collected no garbage "+
		"during a load; its price, %.2f ms for a MiB, is added.\n\n",
		time.Now().UTC().Format(time.DateOnly), runtime.NumCPU(), strings.TrimSpace(r.version), r.nodes, r.rounds, r.settings.pairs, r.writes,
		price*1000*(1<<20))
	w.WriteString("| write | variant | calls per write | CPU of the API server per write | ÷ none | without garbage, ÷ none | " +
		"API server + webhook, ÷ none |\n|---|---|---|---|---|---|---|\n")
	for _, what := range pairKinds() {
		for _, v := range r.variants {
			if phases := r.phases[cell{v.name, what.name, 1}]; len(phases) > 0 {
				r.writePairs(&w, what.name, v.name, phases, price)
			}
		}
	}
	return w.String()
}

func (r *pairResults) writePairs(w *strings.Builder, kind, variant string, phases []phase, price float64) {
	none := r.phases[cell{"none", kind, 1}]
	ratio := func(cost func(phase, pair) (plain, server float64)) string {
		logs := func(phases []phase) (all []float64) {
			for _, p := range phases {
				for _, one := range p.pairs {
					plain, server := cost(p, one)
					all = append(all, math.Log(server/plain))
				}
			}
			return all
		}
		if variant == "none" || len(none) == 0 {
			return "–"
		}
		middle, low, high := difference(logs(phases), logs(none))
		return fmt.Sprintf("**%.3f** (%.3f–%.3f)", math.Exp(middle), math.Exp(low), math.Exp(high))
	}
	plainCost := func(p phase, one pair) float64 { return one.plain.Seconds() + p.plainGarbage*price }
	serverCost := func(p phase, one pair) float64 { return one.server.Seconds() + p.serverGarb*price }
	var costs, calls []float64
	for _, p := range phases {
		calls = append(calls, p.calls)
		for _, one := range p.pairs {
			costs = append(costs, serverCost(p, one)*1000)
		}
	}
	slices.Sort(costs)
	slices.Sort(calls)
	fmt.Fprintf(w, "| %s | %s | %.2f | %.2f ms | %s | %s | %s |\n", kind, variant, median(calls), median(costs),
		ratio(func(p phase, one pair) (plain, server float64) { return plainCost(p, one), serverCost(p, one) }),
		ratio(func(_ phase, one pair) (plain, server float64) { return one.plain.Seconds(), one.server.Seconds() }),
		ratio(func(p phase, one pair) (plain, server float64) {
			return plainCost(p, one), serverCost(p, one) + one.webhook.Seconds()
		}))
}

// difference returns the difference of the medians of two samples, with its 95 % confidence interval by the bootstrap.
func difference(a, b []float64) (middle, low, high float64) {
	const resamples = 4000
	draw := rand.New(rand.NewPCG(3, 4))
	resampled := func(of []float64) float64 {
		drawn := make([]float64, len(of))
		for i := range drawn {
			drawn[i] = of[draw.IntN(len(of))]
		}
		return middleOf(drawn)
	}
	differences := make([]float64, resamples)
	for i := range differences {
		differences[i] = resampled(a) - resampled(b)
	}
	slices.Sort(differences)
	return middleOf(slices.Clone(a)) - middleOf(slices.Clone(b)), differences[resamples*25/1000], differences[resamples*975/1000]
}

// middleOf sorts values and returns their median.
func middleOf(values []float64) float64 {
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}
