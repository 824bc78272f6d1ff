// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"fmt"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"noderestriction.plus/internal/enforced"
	"noderestriction.plus/internal/follow"
	"noderestriction.plus/internal/probe"
	"noderestriction.plus/internal/program"
	"noderestriction.plus/internal/sent"
	"noderestriction.plus/internal/wiringcheck"
)

// The bounds of the intervals. Each probe of a webhook is one request to the API server and one to the webhook; each comparison is a few
// reads.
const (
	minProbeInterval = time.Second
	maxProbeInterval = time.Hour
)

// probeOptions are the flags about how enforcement is verified: by probes, and by comparing the objects that enforce.
type probeOptions struct {
	enabled        bool
	interval       time.Duration
	webhooks       []string
	configuration  string
	wiringInterval time.Duration
}

func (o *probeOptions) addFlags(flags *pflag.FlagSet) {
	flags.BoolVar(&o.enabled, "enforcement-probe", false,
		"periodically verify enforcement with dry-run writes by a non-existent\n"+
			"kubelet; requires permission to impersonate that kubelet")
	flags.DurationVar(&o.interval, "enforcement-probe-interval", time.Minute, "`time` between two probes")
	flags.StringSliceVar(&o.webhooks, "enforcement-probe-webhooks", probe.DefaultWebhooks(), "`webhooks` to probe")
	flags.StringVar(&o.configuration, "wiring-check-configuration", "",
		"`name` of the ValidatingWebhookConfiguration to compare periodically,\n"+
			"with its floor, with what the chart installed; if empty, none is")
	flags.DurationVar(&o.wiringInterval, "wiring-check-interval", time.Minute, "`time` between two comparisons")
}

// validate checks the flags; each error names one.
func (o *probeOptions) validate() error {
	for _, interval := range []struct {
		flag string
		time.Duration
	}{{"enforcement-probe-interval", o.interval}, {"wiring-check-interval", o.wiringInterval}} {
		if interval.Duration < minProbeInterval || interval.Duration > maxProbeInterval {
			return fmt.Errorf("--%s: must be from %s to %s, not %s", interval.flag, minProbeInterval, maxProbeInterval, interval.Duration)
		}
	}
	if err := probe.ValidateWebhooks(o.webhooks); err != nil {
		return fmt.Errorf("--enforcement-probe-webhooks: %w", err)
	}
	if o.configuration != "" && len(validation.IsDNS1123Subdomain(o.configuration)) > 0 {
		return fmt.Errorf("--wiring-check-configuration: must be the name of a ValidatingWebhookConfiguration, not %q", o.configuration)
	}
	return nil
}

// add adds what is enabled to the manager. The keeper is nil if the program does not change match conditions.
func (o *probeOptions) add(mgr manager.Manager, config *rest.Config, keeper *follow.Keeper, log logr.Logger) error {
	found := enforced.New(
		mgr.GetCache(), mgr.GetClient(), mgr.GetEventRecorder(program.Name), log.WithName("enforced"))
	if o.enabled {
		asker, err := probe.NewAsker(config, o.webhooks)
		if err != nil {
			return err
		}
		p := probe.New(asker, o.interval, found.Source(), metrics.Registry, log.WithName("probe"))
		if err := mgr.Add(p); err != nil {
			return err
		}
	}
	if o.configuration == "" {
		return nil
	}
	var adopters []wiringcheck.Adopter
	if keeper != nil {
		adopters = append(adopters, keeper)
	}
	agents := sent.New(
		mgr.GetCache(), mgr.GetClient(), mgr.GetEventRecorder(program.Name), metrics.Registry, log.WithName("sent"))
	checker, err := wiringcheck.New(
		config, o.configuration, o.wiringInterval, found.Source(), agents, metrics.Registry, log.WithName("wiring"), adopters...)
	if err != nil {
		return err
	}
	return mgr.Add(checker)
}
