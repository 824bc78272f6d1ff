// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"runtime"
	"strings"
	"time"
)

// report is the result.
type report struct {
	settings
	phases    []phase
	caches    []cacheSize
	policies  int
	manyStart start
}

// cacheSize is the memory of the product without and with a cache of the Nodes.
type cacheSize struct {
	nodes         int
	without, with float64 // MiB
	ready         time.Duration
}

func (r *report) markdown() string {
	var w strings.Builder
	fmt.Fprintf(&w, "Measured by `make scale` on %s with %d processors: %d kubelets, each with its own identity, a real API server "+
		"and the product as its chart registers it%s, with strict.yaml.\n\n", time.Now().UTC().Format(time.DateOnly), runtime.NumCPU(), r.nodes,
		map[bool]string{true: " with webhook.followPolicies"}[r.follow])
	w.WriteString("| phase | kubelets' writes | took | calls of the product | CPU of the API server | CPU of the product | " +
		"resident before → after |\n|---|---|---|---|---|---|---|\n")
	for _, p := range r.phases {
		fmt.Fprintf(&w, "| %s | %d | %s | %.0f (%.2f per write) | %.1f s | %.1f s | %.0f → %.0f MiB |\n", p.name, p.writes,
			p.took.Round(time.Second), p.calls, p.calls/float64(p.writes), p.server.Seconds(), p.ours.Seconds(), p.before, p.after)
	}
	var beats, calls float64
	for _, p := range r.phases {
		if strings.HasPrefix(p.name, "heartbeats") {
			beats += float64(heartbeatMinutes * r.nodes)
			calls += p.calls
		}
	}
	fmt.Fprintf(&w, "\nAn idle kubelet costs %.3f calls per minute.\n\n", calls/beats)
	w.WriteString("| Nodes | resident without a nodeSelector | with a nodeSelector: Nodes are cached | per Node | ready after |\n" +
		"|---|---|---|---|---|\n")
	for _, c := range r.caches {
		fmt.Fprintf(&w, "| %d | %.0f MiB | %.0f MiB | %.1f KiB | %.1f s |\n", c.nodes, c.without, c.with,
			(c.with-c.without)*1024/float64(c.nodes), c.ready.Seconds())
	}
	fmt.Fprintf(&w, "\nWith %d policies that have all rules, the product is ready %.1f s after its start and uses %.0f MiB.\n",
		r.policies, r.manyStart.took.Seconds(), r.manyStart.resident)
	return w.String()
}
