// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"fmt"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"noderestriction.plus/internal/probe"
	"noderestriction.plus/internal/program"
)

// The bounds of --enforcement-probe-interval. Each probe is one request to the API server and one to the webhook.
const (
	minProbeInterval = time.Second
	maxProbeInterval = time.Hour
)

// probeOptions are the flags about the enforcement probe.
type probeOptions struct {
	enabled  bool
	interval time.Duration
}

func (o *probeOptions) addFlags(flags *pflag.FlagSet) {
	flags.BoolVar(&o.enabled, "enforcement-probe", false,
		"periodically verify enforcement with a dry-run write by a non-existent\n"+
			"kubelet; requires permission to impersonate that kubelet")
	flags.DurationVar(&o.interval, "enforcement-probe-interval", time.Minute, "`time` between two probes")
}

// validate checks the flags; the error names one.
func (o *probeOptions) validate() error {
	if o.interval < minProbeInterval || o.interval > maxProbeInterval {
		return fmt.Errorf("--enforcement-probe-interval: must be from %s to %s, not %s",
			minProbeInterval, maxProbeInterval, o.interval)
	}
	return nil
}

// add adds the probe to the manager if it is enabled.
func (o *probeOptions) add(mgr manager.Manager, config *rest.Config, log logr.Logger) error {
	if !o.enabled {
		return nil
	}
	conditions := probe.NewConditions(mgr.GetCache(), mgr.GetClient(), mgr.GetEventRecorder(program.Name))
	p, err := probe.New(config, o.interval, conditions, metrics.Registry, log)
	if err != nil {
		return err
	}
	return mgr.Add(p)
}
