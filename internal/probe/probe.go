// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package probe periodically verifies that the API server calls the webhook for kubelets' writes, and that such a write is
// denied. A webhook configuration that was removed, narrowed or given a wrong CA causes no error anywhere: kubelets are
// simply no longer restricted.
//
// Each webhook of the configuration is probed with a write that goes to no other. Without an object that exists, the NodeRestriction
// plugin lets a kubelet create only a few: the registration of its Node, which goes to the webhook registration, and its CSINode, which
// goes to the others if an annotation names them. Kubernetes calls no webhook for reviews of access, which would be simpler. So the probe
// verifies that each webhook is called, answers and is trusted, and package wiring that its rules and selectors are complete.
package probe

import (
	"context"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"noderestriction.plus/internal/enforced"
)

// Probe probes webhooks at an interval. It is a Runnable for a manager.
type Probe struct {
	asker    *Asker
	interval time.Duration
	report   enforced.Report
	metrics  *metrics
	log      logr.Logger
}

// New returns a Probe that asks at an interval. Metrics are registered with reg.
func New(asker *Asker, interval time.Duration, report enforced.Report, reg prometheus.Registerer, log logr.Logger) *Probe {
	return &Probe{asker: asker, interval: interval, report: report, metrics: newMetrics(reg, asker.webhooks), log: log}
}

// NeedLeaderElection implements the manager's LeaderElectionRunnable: every replica probes.
func (*Probe) NeedLeaderElection() bool { return false }

// Start probes until ctx ends. It returns nil.
func (p *Probe) Start(ctx context.Context) error {
	// The error is that ctx has ended.
	_ = wait.PollUntilContextCancel(ctx, p.interval, false, func(ctx context.Context) (bool, error) {
		p.once(ctx)
		return false, nil
	})
	return nil
}

func (p *Probe) once(ctx context.Context) {
	answers := p.asker.Ask(ctx)
	p.metrics.observe(answers)
	if answers.Result != Denied {
		p.log.Info("The enforcement probe was not denied", "result", answers.Result, "reason", answers.Detail)
	}
	p.report(ctx, findingOf(answers))
}

// findingOf returns what answers say about enforcement.
func findingOf(answers Answers) enforced.Finding {
	f := enforced.Finding{Message: answers.Detail}
	switch answers.Result {
	case Denied:
		f.Status, f.Reason = metav1.ConditionTrue, "ProbeDenied"
	case Allowed:
		f.Status, f.Reason = metav1.ConditionFalse, "ProbeAllowed"
	default:
		f.Status, f.Reason = metav1.ConditionUnknown, "ProbeFailed"
	}
	return f
}
