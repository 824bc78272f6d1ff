// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"fmt"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/api/resource"
	eventsv1client "k8s.io/client-go/kubernetes/typed/events/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"noderestriction.plus/internal/denial"
)

// mebibyte is the unit of --denial-log-file-max-size.
const mebibyte = 1 << 20

// recordOptions are the flags about where records are written, in addition to the denial log.
type recordOptions struct {
	file        string
	fileSize    resource.QuantityValue
	fileBackups int
	events      bool
}

func (o *recordOptions) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.file, "denial-log-file", "",
		"`file` for a second copy of the records; if empty, they go to standard\noutput only")
	o.fileSize = resource.QuantityValue{Quantity: resource.MustParse("100Mi")}
	flags.Var(&o.fileSize, "denial-log-file-max-size", "`size` at which that file is rotated, in whole Mi")
	flags.IntVar(&o.fileBackups, "denial-log-file-max-backups", 5, "maximum `number` of rotated files to keep")
	flags.BoolVar(&o.events, "events", true, "emit Events on the policies for violations")
}

// validate checks the flags; each error names one.
func (o *recordOptions) validate() error {
	size := o.fileSize.Value()
	if size < mebibyte || size > 1<<20*mebibyte || size%mebibyte != 0 {
		return fmt.Errorf("--denial-log-file-max-size: must be from 1Mi to 1Ti, in whole Mi, not %s", o.fileSize.String())
	}
	if o.fileBackups < 1 || o.fileBackups > 1000 {
		return fmt.Errorf("--denial-log-file-max-backups: must be from 1 to 1000, not %d", o.fileBackups)
	}
	return nil
}

// sinks returns the sinks that the flags enable, and adds those that write to the API server to the manager. The file, which is one
// of the sinks, must be closed; it is nil without --denial-log-file.
func (o *recordOptions) sinks(
	mgr manager.Manager, live client.Reader, config *rest.Config, log logr.Logger,
) ([]denial.Sink, *denial.File, error) {
	status := denial.NewStatus(live, mgr.GetClient(), log.WithName("status"))
	if err := mgr.Add(status); err != nil {
		return nil, nil, err
	}
	sinks := []denial.Sink{status}
	if o.events {
		api, err := eventsv1client.NewForConfigAndClient(config, mgr.GetHTTPClient())
		if err != nil {
			return nil, nil, err
		}
		events := denial.NewEvents(mgr.GetCache(), api, metrics.Registry, log.WithName("events"))
		if err := mgr.Add(events); err != nil {
			return nil, nil, err
		}
		sinks = append(sinks, events)
	}
	if o.file == "" {
		return sinks, nil, nil
	}
	file, err := denial.OpenFile(denial.FileOptions{
		Path: o.file, MaxSizeMiB: int(o.fileSize.Value() / mebibyte), MaxBackups: o.fileBackups,
	}, metrics.Registry, log.WithName("denial-log-file"))
	if err != nil {
		return nil, nil, fmt.Errorf("--denial-log-file: %w", err)
	}
	return append(sinks, file), file, nil
}
