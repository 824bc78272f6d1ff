package main

import (
	"fmt"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"noderestriction.plus/internal/probe"
)

// The bounds of --enforcement-probe-interval. Each probe is one request to the API server and one to this program.
const (
	minProbeInterval = time.Second
	maxProbeInterval = time.Hour
)

// probeOptions say whether and how often enforcement is proved.
type probeOptions struct {
	enabled  bool
	interval time.Duration
}

func (o *probeOptions) addFlags(flags *pflag.FlagSet) {
	flags.BoolVar(&o.enabled, "enforcement-probe", false,
		"prove again and again, by a dry run as a kubelet that does not exist, that the API server asks and this program "+
			"denies; needs the right to impersonate that kubelet")
	flags.DurationVar(&o.interval, "enforcement-probe-interval", time.Minute, "`time` between two such probes")
}

// validate checks the flags; the error names one.
func (o *probeOptions) validate() error {
	if o.interval < minProbeInterval || o.interval > maxProbeInterval {
		return fmt.Errorf("--enforcement-probe-interval: must be from %s to %s, not %s",
			minProbeInterval, maxProbeInterval, o.interval)
	}
	return nil
}

// add adds the probe to the manager, if it is asked for.
func (o *probeOptions) add(mgr manager.Manager, config *rest.Config, log logr.Logger) error {
	if !o.enabled {
		return nil
	}
	conditions := probe.NewConditions(mgr.GetCache(), mgr.GetClient(), mgr.GetEventRecorder("node-restriction-plus"))
	p, err := probe.New(config, o.interval, conditions, metrics.Registry, log)
	if err != nil {
		return err
	}
	return mgr.Add(p)
}
