package main

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"noderestriction.plus/internal/cli"
	"noderestriction.plus/internal/server"
)

// off is the address with which a listener is switched off.
const off = "0"

// maxShutdownDelay bounds --shutdown-delay: nobody waits longer for a Pod to end.
const maxShutdownDelay = 10 * time.Minute

// serveOptions are the flags of serve.
type serveOptions struct {
	kubeconfig             string
	bindAddress            string
	port                   int
	clientCAFile           string
	clientAllowedNames     []string
	metricsBindAddress     string
	metricsSecure          bool
	healthProbeBindAddress string
	pprofBindAddress       string
	shutdownDelay          time.Duration
	logLevel               string
	limits                 server.Limits
	certificates           certificateOptions
	records                recordOptions
	probe                  probeOptions
}

func (o *serveOptions) addFlags(flags *pflag.FlagSet) {
	o.limits = server.DefaultLimits()
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig `file`; without it, the service account of the Pod")
	flags.StringVar(&o.bindAddress, "bind-address", "", "`IP` address for admission requests; without it, all")
	flags.IntVar(&o.port, "port", 9443, "`port` for admission requests; 0 is a free one")
	flags.StringVar(&o.clientCAFile, "client-ca-file", "",
		"PEM `file` of the authorities of clients; without it, clients need no certificate")
	flags.StringSliceVar(&o.clientAllowedNames, "client-allowed-names", nil,
		"common `names` of the clients that may connect; needed with --client-ca-file")
	flags.StringVar(&o.metricsBindAddress, "metrics-bind-address", ":8443", "`address` for metrics; 0 switches them off")
	flags.BoolVar(&o.metricsSecure, "metrics-secure", true,
		"serve metrics over TLS to authorized clients; false: plainly, on loopback only")
	flags.StringVar(&o.healthProbeBindAddress, "health-probe-bind-address", ":8081",
		"`address` for /readyz and /livez; 0 switches them off")
	flags.StringVar(&o.pprofBindAddress, "pprof-bind-address", off,
		"loopback `address` for profiles, /debug/pprof; 0 switches them off")
	flags.DurationVar(&o.shutdownDelay, "shutdown-delay", 10*time.Second,
		"`time` for which requests are accepted after readiness began to fail; while some arrive, up to 20s more")
	flags.StringVar(&o.logLevel, "log-level", "info", "`level` of the log: debug, info or error; not for records")
	flags.IntVar(&o.limits.MaxConnections, "max-connections", o.limits.MaxConnections,
		"largest `number` of open connections")
	flags.IntVar(&o.limits.MaxInFlight, "max-requests-in-flight", o.limits.MaxInFlight,
		"largest `number` of requests handled at a time")
	flags.Int64Var(&o.limits.MaxBodyBytesInFlight, "max-body-bytes-in-flight", o.limits.MaxBodyBytesInFlight,
		"largest `number` of bytes of requests held at a time")
	o.certificates.addFlags(flags)
	o.records.addFlags(flags)
	o.probe.addFlags(flags)
}

// validate checks what can be checked of the flags alone. Each error names the flag.
func (o *serveOptions) validate() error {
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
		o.certificates.validate, o.validateClients, o.validateMetrics, o.validatePprof, o.validateLimits,
		o.records.validate, o.probe.validate,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	if err := validateAddress(o.healthProbeBindAddress); err != nil {
		return fmt.Errorf("--health-probe-bind-address: %w", err)
	}
	if _, err := logLevel(o.logLevel); err != nil {
		return fmt.Errorf("--log-level: %w", err)
	}
	return nil
}

func (o *serveOptions) validateClients() error {
	switch {
	case o.clientCAFile != "" && len(o.clientAllowedNames) == 0:
		return errors.New("--client-allowed-names: must be set with --client-ca-file, " +
			"since the authority may have signed the certificates of kubelets as well")
	case o.clientCAFile == "" && len(o.clientAllowedNames) > 0:
		return errors.New("--client-ca-file: must be set with --client-allowed-names")
	case slices.Contains(o.clientAllowedNames, ""):
		return errors.New("--client-allowed-names: a name must not be empty")
	}
	return nil
}

func (o *serveOptions) validateMetrics() error {
	if err := validateAddress(o.metricsBindAddress); err != nil {
		return fmt.Errorf("--metrics-bind-address: %w", err)
	}
	if o.metricsSecure || o.metricsBindAddress == off || isLoopback(o.metricsBindAddress) {
		return nil
	}
	return errors.New("--metrics-bind-address: must be a loopback address, such as 127.0.0.1:8443, " +
		"with --metrics-secure=false")
}

func (o *serveOptions) validatePprof() error {
	if o.pprofBindAddress != off && !isLoopback(o.pprofBindAddress) {
		return errors.New("--pprof-bind-address: must be a loopback address, such as 127.0.0.1:6060, or 0")
	}
	return nil
}

func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (o *serveOptions) validateLimits() error {
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

func validateAddress(address string) error {
	if address == off {
		return nil
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is not an address such as :8080 or 127.0.0.1:8080", address)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n > 65535 {
		return fmt.Errorf("%q has no port from 0 to 65535", address)
	}
	return nil
}

// address is where admission requests are served.
func (o *serveOptions) address() string { return net.JoinHostPort(o.bindAddress, strconv.Itoa(o.port)) }

// restConfig says how to reach the API server, by a kubeconfig or, if that is empty, as a pod does; whether it can be
// reached is not tried.
func restConfig(kubeconfig string) (*rest.Config, error) {
	config, err := rest.InClusterConfig, error(nil)
	if kubeconfig != "" {
		config = func() (*rest.Config, error) { return clientcmd.BuildConfigFromFlags("", kubeconfig) }
	}
	c, err := config()
	if err != nil {
		return nil, err
	}
	// The API server limits its clients itself. What this program writes is bounded by how often it writes.
	c.QPS = -1
	c.UserAgent = "node-restriction-plus/" + cli.Version()
	return c, nil
}
