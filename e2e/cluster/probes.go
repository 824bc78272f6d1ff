// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"

	"noderestriction.plus/e2e/process"
)

// probeReadiness probes the readiness of the container while it runs.
func (r *Replica) probeReadiness(ctx context.Context, p *process.Process) {
	probe := r.container().ReadinessProbe
	if probe == nil {
		r.setReady(true)
		return
	}
	failures := 0
	r.each(ctx, p, probe, func(err error) bool {
		if err == nil {
			failures = 0
			r.setReady(true)
		} else if failures++; failures >= int(probe.FailureThreshold) {
			r.setReady(false)
		}
		return true
	})
}

// probeLiveness kills the container when it no longer answers.
func (r *Replica) probeLiveness(ctx context.Context, p *process.Process) {
	probe := r.container().LivenessProbe
	if probe == nil {
		return
	}
	failures := 0
	r.each(ctx, p, probe, func(err error) bool {
		if err == nil {
			failures = 0
			return true
		}
		if failures++; failures < int(probe.FailureThreshold) {
			return true
		}
		grace := r.pod.Spec.TerminationGracePeriodSeconds
		if probe.TerminationGracePeriodSeconds != nil {
			grace = probe.TerminationGracePeriodSeconds
		}
		r.end(ctx, time.Duration(*grace)*time.Second)
		r.set(func() { r.restarts++ })
		return false
	})
}

// each probes at the probe's interval until the container has exited or done returns false. Kubelets spread the first probes of
// containers over the interval; here the first probe is in the middle of it.
func (r *Replica) each(ctx context.Context, p *process.Process, probe *corev1.Probe, done func(error) bool) {
	period := time.Duration(probe.PeriodSeconds) * time.Second
	next := time.After(time.Duration(probe.InitialDelaySeconds)*time.Second + period/2)
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.Done():
			return
		case <-next:
		}
		began := time.Now()
		if !done(r.probe(ctx, probe)) {
			return
		}
		next = time.After(period - time.Since(began))
	}
}

func (r *Replica) probe(ctx context.Context, probe *corev1.Probe) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(probe.TimeoutSeconds)*time.Second)
	defer cancel()
	r.mu.Lock()
	address := r.ports[probe.HTTPGet.Port.String()]
	r.mu.Unlock()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+probe.HTTPGet.Path, http.NoBody)
	if err != nil {
		return err
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s: %s", request.URL, response.Status)
	}
	return nil
}
