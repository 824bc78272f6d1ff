// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"noderestriction.plus/internal/kubeconfig"
	"noderestriction.plus/internal/review"
	"noderestriction.plus/internal/server"
)

// maxShutdownDelay bounds --shutdown-delay: no pod should take longer to end.
const maxShutdownDelay = 10 * time.Minute

// options are the flags of serve: its own, and those of the parts of the program.
type options struct {
	kubeconfig         string
	bindAddress        string
	port               int
	clientCAFile       string
	clientAllowedNames []string
	shutdownDelay      time.Duration
	logLevel           string
	limits             server.Limits
	manager            managerOptions
	certificates       certificateOptions
	records            recordOptions
	probe              probeOptions
	conditions         conditionOptions
}

func (o *options) addFlags(flags *pflag.FlagSet) {
	o.limits = server.DefaultLimits(review.MaxBytes)
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", kubeconfig.Usage)
	flags.StringVar(&o.bindAddress, "bind-address", "", "`IP` address for admission requests; if empty, all addresses")
	flags.IntVar(&o.port, "port", 9443, "`port` for admission requests; 0 picks a free one")
	flags.StringVar(&o.clientCAFile, "client-ca-file", "",
		"PEM `file` with the CAs of client certificates; if empty, clients need\nno certificate")
	flags.StringSliceVar(&o.clientAllowedNames, "client-allowed-names", nil,
		"common `names` of the clients that may connect; required with\n--client-ca-file")
	flags.DurationVar(&o.shutdownDelay, "shutdown-delay", 10*time.Second,
		"`time` to accept requests after readiness starts to fail; up to 20s more\nwhile requests arrive")
	flags.StringVar(&o.logLevel, "log-level", "info", "`level` of the log: debug, info or error; does not affect\nrecords")
	flags.IntVar(&o.limits.MaxConnections, "max-connections", o.limits.MaxConnections,
		"maximum `number` of open connections")
	flags.IntVar(&o.limits.MaxInFlight, "max-requests-in-flight", o.limits.MaxInFlight,
		"maximum `number` of requests handled at a time")
	flags.Int64Var(&o.limits.MaxBodyBytesInFlight, "max-body-bytes-in-flight", o.limits.MaxBodyBytesInFlight,
		"maximum `number` of bytes of requests held at a time")
	o.manager.addFlags(flags)
	o.certificates.addFlags(flags)
	o.records.addFlags(flags)
	o.probe.addFlags(flags)
	o.conditions.addFlags(flags)
}

// validate checks the flags without reading any file. Each error names the flag.
func (o *options) validate() error {
	if o.bindAddress != "" && net.ParseIP(o.bindAddress) == nil {
		return fmt.Errorf("--bind-address: %q is not an IP address", o.bindAddress)
	}
	if o.port < 0 || o.port > 65535 {
		return fmt.Errorf("--port: must be from 0 to 65535, not %d", o.port)
	}
	if o.shutdownDelay < 0 || o.shutdownDelay > maxShutdownDelay {
		return fmt.Errorf("--shutdown-delay: must be from 0s to %s, not %s", maxShutdownDelay, o.shutdownDelay)
	}
	for _, check := range []func() error{
		o.certificates.validate, o.validateClients, o.manager.validate, o.validateLimits, o.records.validate, o.probe.validate,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	if _, err := logLevel(o.logLevel); err != nil {
		return fmt.Errorf("--log-level: %w", err)
	}
	return nil
}

func (o *options) validateClients() error {
	switch {
	case o.clientCAFile != "" && len(o.clientAllowedNames) == 0:
		return errors.New("--client-allowed-names: must be set with --client-ca-file, " +
			"because the CA may also have signed the certificates of kubelets")
	case o.clientCAFile == "" && len(o.clientAllowedNames) > 0:
		return errors.New("--client-ca-file: must be set with --client-allowed-names")
	case slices.Contains(o.clientAllowedNames, ""):
		return errors.New("--client-allowed-names: a name must not be empty")
	}
	return nil
}

func (o *options) validateLimits() error {
	if o.limits.MaxConnections < 1 {
		return fmt.Errorf("--max-connections: must be at least 1, not %d", o.limits.MaxConnections)
	}
	if o.limits.MaxInFlight < 1 {
		return fmt.Errorf("--max-requests-in-flight: must be at least 1, not %d", o.limits.MaxInFlight)
	}
	if least := 2 * o.limits.MaxBodyBytes; o.limits.MaxBodyBytesInFlight < least {
		return fmt.Errorf("--max-body-bytes-in-flight: must be at least %d, twice the largest request, not %d",
			least, o.limits.MaxBodyBytesInFlight)
	}
	return nil
}

// address returns the address for admission requests.
func (o *options) address() string { return net.JoinHostPort(o.bindAddress, strconv.Itoa(o.port)) }
