// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"
)

// report returns the results in Markdown.
func (r *results) report() string {
	var w strings.Builder
	fmt.Fprintf(&w, "Measured by `make bench` on %s with %d processors (%s, kube-apiserver 1.37.2 and etcd on loopback, "+
		"%d Nodes in the cluster): %d interleaved rounds of %d writes a cell. Ratios are within a round, those of CPU time after division "+
		"by what etcd and the load generator spent on a write in the same period; each figure is the median of the rounds, with the lowest "+
		"and highest in brackets.\n\n",
		time.Now().UTC().Format(time.DateOnly), runtime.NumCPU(), strings.TrimSpace(r.version), r.nodes, len(r.rounds), r.writes)
	w.WriteString("| variant | description |\n|---|---|\n")
	for _, v := range r.variants {
		fmt.Fprintf(&w, "| %s | %s |\n", v.name, v.about)
	}
	for _, what := range kinds() {
		r.writeKind(&w, what.name)
	}
	r.writeDenials(&w)
	r.writeDirect(&w)
	r.writeMemory(&w)
	return w.String()
}

func (r *results) writeKind(w *strings.Builder, kind string) {
	fmt.Fprintf(w, "\n### %s\n\n", kind)
	w.WriteString("| variant | clients | p50 | p95 | p99 | p50 ÷ none | added p50 | API server CPU per write | webhook CPU per write | " +
		"API server + webhook CPU ÷ none | webhook CPU ÷ noop's | calls per write |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, v := range r.measured() {
		for _, clients := range r.clients {
			of := func(name string) func(map[cell]sample) sample {
				return func(m map[cell]sample) sample { return m[cell{name, kind, clients}] }
			}
			mine, none, least := of(v.name), of("none"), of(noop)
			fmt.Fprintf(w, "| %s | %d | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", v.name, clients,
				r.milliseconds(func(m map[cell]sample) float64 { return ms(mine(m).p50) }),
				r.milliseconds(func(m map[cell]sample) float64 { return ms(mine(m).p95) }),
				r.milliseconds(func(m map[cell]sample) float64 { return ms(mine(m).p99) }),
				r.spread(func(m map[cell]sample) float64 { return ms(mine(m).p50) / ms(none(m).p50) }),
				r.milliseconds(func(m map[cell]sample) float64 { return ms(mine(m).p50) - ms(none(m).p50) }),
				r.milliseconds(func(m map[cell]sample) float64 { return ms(mine(m).server) }),
				r.milliseconds(func(m map[cell]sample) float64 { return ms(mine(m).webhook) }),
				r.spread(func(m map[cell]sample) float64 {
					return mine(m).cost() / none(m).cost()
				}),
				r.perCall(v, mine, least),
				r.plain(func(m map[cell]sample) float64 { return mine(m).calls }))
		}
	}
}

// perCall compares the CPU time of a call with the webhook that does nothing.
func (r *results) perCall(v *variant, mine, least func(map[cell]sample) sample) string {
	if v.process == nil || v.skips {
		return "–"
	}
	return r.spread(func(m map[cell]sample) float64 {
		return mine(m).callCost() / least(m).callCost()
	})
}

func (r *results) writeDenials(w *strings.Builder) {
	if _, measured := r.rounds[0][cell{evaluated, denied().name, r.clients[0]}]; !measured {
		return
	}
	fmt.Fprintf(w, "\n### A denial\n\n"+
		"| variant | clients | p50 | webhook CPU per denial | ÷ that of an allowed write |\n|---|---|---|---|---|\n")
	for _, clients := range r.clients {
		deny := func(m map[cell]sample) sample { return m[cell{evaluated, denied().name, clients}] }
		allow := func(m map[cell]sample) sample { return m[cell{evaluated, kinds()[0].name, clients}] }
		fmt.Fprintf(w, "| %s | %d | %s | %s | %s |\n", evaluated, clients,
			r.milliseconds(func(m map[cell]sample) float64 { return ms(deny(m).p50) }),
			r.milliseconds(func(m map[cell]sample) float64 { return ms(deny(m).webhook) }),
			r.spread(func(m map[cell]sample) float64 {
				return ms(deny(m).webhook) / deny(m).calls / (ms(allow(m).webhook) / allow(m).calls)
			}))
	}
}

// writeDirect writes the cost of webhooks without an API server.
func (r *results) writeDirect(w *strings.Builder) {
	fmt.Fprintf(w, "\n### A review, without an API server\n\nEach review is sent %d times a cell, as an API server sends it. "+
		"With %d clients there are %d times more than above: the webhook refuses excess reviews with an HTTP error.\n\n"+
		"| review | description |\n|---|---|\n", r.reviews, overload*r.most(), overload)
	for _, what := range directReviews() {
		fmt.Fprintf(w, "| %s | %s |\n", what.name, what.about)
	}
	w.WriteString("\n| review | webhook | clients | p50 | p99 | slowest | refused | webhook CPU per review | ÷ noop's |\n" +
		"|---|---|---|---|---|---|---|---|---|\n")
	for _, what := range directReviews() {
		for _, v := range r.measured() {
			if v.url == "" {
				continue
			}
			for _, clients := range append(slices.Clone(r.clients), overload*r.most()) {
				r.writeDirectCell(w, cell{v.name, what.name, clients})
			}
		}
	}
}

func (r *results) writeDirectCell(w *strings.Builder, c cell) {
	mine := func(figure func(directSample) float64) float64 {
		return median(across(r.direct, func(m map[cell]directSample) float64 { return figure(m[c]) }))
	}
	fmt.Fprintf(w, "| %s | %s | %d | %.2f ms | %.2f ms | %.0f ms | %.0f | %.3f ms | %s |\n", c.kind, c.variant, c.clients,
		mine(func(s directSample) float64 { return ms(s.p50) }),
		mine(func(s directSample) float64 { return ms(s.p99) }),
		mine(func(s directSample) float64 { return ms(s.worst) }),
		mine(func(s directSample) float64 { return float64(s.shed) }),
		mine(func(s directSample) float64 { return ms(s.cpu) }),
		withRange(across(r.direct, func(m map[cell]directSample) float64 {
			return ms(m[c].cpu) / ms(m[cell{noop, c.kind, c.clients}].cpu)
		})))
}

func (r *results) writeMemory(w *strings.Builder) {
	most := r.most()
	fmt.Fprintf(w, "\n### Memory of the webhook\n\n| variant | resident before the first write, MiB | with %d clients, MiB | "+
		"without the program file, MiB |\n|---|---|---|---|\n", most)
	for _, v := range r.measured() {
		if v.process == nil || v.skips {
			continue
		}
		of := func(figure func(sample) float64) string {
			return r.plain(func(m map[cell]sample) float64 { return figure(m[cell{v.name, kinds()[0].name, most}]) })
		}
		fmt.Fprintf(w, "| %s | %.0f | %s | %s |\n", v.name, r.idle[v.name],
			of(func(s sample) float64 { return s.resident }), of(func(s sample) float64 { return s.anonymous }))
	}
}

// measured returns the variants that were measured.
func (r *results) measured() []*variant {
	return slices.DeleteFunc(slices.Clone(r.variants), func(v *variant) bool {
		_, ok := r.rounds[0][cell{v.name, kinds()[0].name, r.clients[0]}]
		return !ok
	})
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// cost is the CPU time of a write for the API server and the webhook, and callCost the CPU time of a call for the webhook, both as a
// multiple of what etcd and the load generator spent on a write: a slow period of the machine has no effect.
func (s sample) cost() float64     { return ms(s.server+s.webhook) / ms(s.reference) }
func (s sample) callCost() float64 { return ms(s.webhook) / s.calls / ms(s.reference) }

// across returns the values of a figure in all rounds, sorted.
func across[S any](rounds []map[cell]S, figure func(map[cell]S) float64) []float64 {
	var values []float64
	for _, samples := range rounds {
		values = append(values, figure(samples))
	}
	slices.Sort(values)
	return values
}

// median returns the middle value.
func median(sorted []float64) float64 { return sorted[len(sorted)/2] }

// withRange formats the median with the lowest and the highest value.
func withRange(sorted []float64) string {
	return fmt.Sprintf("**%.2f** (%.2f–%.2f)", median(sorted), sorted[0], sorted[len(sorted)-1])
}

func (r *results) spread(figure func(map[cell]sample) float64) string {
	return withRange(across(r.rounds, figure))
}

func (r *results) milliseconds(figure func(map[cell]sample) float64) string {
	return fmt.Sprintf("%.2f ms", median(across(r.rounds, figure)))
}

func (r *results) plain(figure func(map[cell]sample) float64) string {
	return fmt.Sprintf("%.2f", median(across(r.rounds, figure)))
}
