// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package probe periodically verifies that the API server calls the webhook for kubelets' writes, and that such a write is
// denied. A webhook configuration that was removed, narrowed or given a wrong CA causes no error anywhere: kubelets are
// simply no longer restricted.
package probe

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"noderestriction.plus/internal/review"
)

// timeout bounds one probe.
const timeout = 10 * time.Second

// Result is the result of the probe's write.
type Result string

// The results.
const (
	Denied  Result = "denied"  // as it should be
	Allowed Result = "allowed" // kubelets are not restricted
	Failed  Result = "failed"  // it is unknown
)

// Reporter receives the result of every probe. The detail explains in a sentence what the result means.
type Reporter interface {
	Report(ctx context.Context, result Result, detail string) error
}

// Asker makes the probe's write.
type Asker struct {
	nodes corev1client.NodeInterface
}

// NewAsker returns an Asker that impersonates a kubelet with the given configuration, whose user needs permission to do so.
func NewAsker(config *rest.Config) (*Asker, error) {
	kubelet := review.UserOf(review.ProbeNode)
	as := rest.CopyConfig(config)
	// Only system:nodes is requested; the API server adds system:authenticated.
	as.Impersonate = rest.ImpersonationConfig{UserName: kubelet.Username, Groups: kubelet.Groups[:1]}
	client, err := corev1client.NewForConfig(as)
	if err != nil {
		return nil, err
	}
	return &Asker{nodes: client.Nodes()}, nil
}

// Ask asks the API server, as a dry run, to register a Node that must be denied. It returns the result, and a sentence that
// explains it. It takes at most 10 s.
func (a *Asker) Ask(ctx context.Context) (Result, string) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	result, detail := a.ask(ctx)
	if ctx.Err() != nil && result != Denied {
		return Failed, "the API server did not answer in time"
	}
	return result, detail
}

// Probe asks the API server at an interval to register a Node that must be denied. It is a Runnable for a manager.
type Probe struct {
	asker    *Asker
	interval time.Duration
	reporter Reporter
	metrics  *metrics
	log      logr.Logger
}

// New returns a Probe that impersonates a kubelet with the given configuration, whose user needs permission to do so.
// Metrics are registered with reg.
func New(
	config *rest.Config, interval time.Duration, reporter Reporter, reg prometheus.Registerer, log logr.Logger,
) (*Probe, error) {
	asker, err := NewAsker(config)
	if err != nil {
		return nil, err
	}
	return &Probe{asker: asker, interval: interval, reporter: reporter, metrics: newMetrics(reg), log: log}, nil
}

// NeedLeaderElection implements the manager's LeaderElectionRunnable: every replica probes.
func (*Probe) NeedLeaderElection() bool { return false }

// Start probes until ctx ends. It returns nil.
func (p *Probe) Start(ctx context.Context) error {
	ticks := time.NewTicker(p.interval)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticks.C:
			p.once(ctx)
		}
	}
}

func (p *Probe) once(ctx context.Context) {
	result, detail := p.asker.Ask(ctx)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	p.metrics.observe(result)
	if result != Denied {
		p.log.Info("The enforcement probe was not denied", "result", result, "reason", detail)
	}
	if err := p.reporter.Report(ctx, result, detail); err != nil {
		p.log.Info("Could not report the result of the enforcement probe", "result", result, "reason", err.Error())
	}
}

// ask makes the write and returns its result.
func (a *Asker) ask(ctx context.Context) (Result, string) {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: review.ProbeNode}}
	_, err := a.nodes.Create(ctx, node, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	switch {
	case err == nil:
		return Allowed, "the API server allowed a kubelet's write that the webhook denies; " +
			"it did not call the webhook, or could not reach it: check the ValidatingWebhookConfiguration"
	case apierrors.IsForbidden(err) && strings.Contains(err.Error(), review.ProbeDenied):
		return Denied, "the API server calls the webhook, and the write is denied"
	}
	return Failed, fmt.Sprintf("it is unknown whether kubelets are restricted: %v", err)
}
