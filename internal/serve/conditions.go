// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"fmt"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"noderestriction.plus/internal/cluster"
	"noderestriction.plus/internal/conditions"
	"noderestriction.plus/internal/follow"
	"noderestriction.plus/internal/policystore"
	"noderestriction.plus/internal/program"
	"noderestriction.plus/policy"
)

// conditionOptions are the flags about the match conditions of the webhook configuration.
type conditionOptions struct {
	file string
}

func (o *conditionOptions) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.file, "base-conditions", "",
		"`file` with the match conditions that the chart rendered; the program\n"+
			"keeps those of the webhook configuration up to date with the policies\n"+
			"in force; if empty, it does not change them")
}

// read reads the file. It returns nil without the flag.
func (o *conditionOptions) read() (*conditions.Base, error) {
	if o.file == "" {
		return nil, nil
	}
	base, err := conditions.ReadBase(o.file)
	if err != nil {
		return nil, fmt.Errorf("--base-conditions: %w", err)
	}
	return base, nil
}

// add adds what is enabled to the manager. It returns nil if the program does not change conditions.
func (o *conditionOptions) add(
	mgr manager.Manager, config *rest.Config, informers *cluster.Informers, base *conditions.Base, store *policystore.Store,
	rules []policy.Rule, log logr.Logger,
) (*follow.Keeper, error) {
	if base == nil {
		return nil, mgr.Add(follow.NewForgetter(mgr.GetCache(), mgr.GetClient(), log))
	}
	keeper, err := follow.New(follow.Options{
		File: o.file, Base: base, Config: config, Store: store, Rules: rules, Policies: mgr.GetCache(), Status: mgr.GetClient(),
		Events: mgr.GetEventRecorder(program.Name), NewInformer: informers.New, Registerer: metrics.Registry, Log: log,
	})
	if err != nil {
		return nil, err
	}
	return keeper, mgr.Add(keeper)
}
