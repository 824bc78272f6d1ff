// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/cluster"
	"noderestriction.plus/internal/delegatedauth"
	"noderestriction.plus/internal/faultlog"
	"noderestriction.plus/internal/server"
)

// off is the address that disables a listener.
const off = "0"

// managerOptions are the addresses of the manager's servers: everything except admission requests.
type managerOptions struct {
	metricsBindAddress     string
	metricsSecure          bool
	healthProbeBindAddress string
	pprofBindAddress       string
}

func (o *managerOptions) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.metricsBindAddress, "metrics-bind-address", ":8443", "`address` for metrics; 0 disables them")
	flags.BoolVar(&o.metricsSecure, "metrics-secure", true,
		"serve metrics over TLS to authorized clients; if false, over HTTP,\non a loopback address only")
	flags.StringVar(&o.healthProbeBindAddress, "health-probe-bind-address", ":8081",
		"`address` for /readyz and /livez; 0 disables them")
	flags.StringVar(&o.pprofBindAddress, "pprof-bind-address", off,
		"loopback `address` for /debug/pprof; 0 disables it")
}

// validate checks the flags; each error names one.
func (o *managerOptions) validate() error {
	if err := o.validateMetrics(); err != nil {
		return err
	}
	if o.pprofBindAddress != off && !isLoopback(o.pprofBindAddress) {
		return errors.New("--pprof-bind-address: must be a loopback address, such as 127.0.0.1:6060, or 0")
	}
	if err := validateAddress(o.healthProbeBindAddress); err != nil {
		return fmt.Errorf("--health-probe-bind-address: %w", err)
	}
	return nil
}

func (o *managerOptions) validateMetrics() error {
	if err := validateAddress(o.metricsBindAddress); err != nil {
		return fmt.Errorf("--metrics-bind-address: %w", err)
	}
	if o.metricsSecure || o.metricsBindAddress == off || isLoopback(o.metricsBindAddress) {
		return nil
	}
	return errors.New("--metrics-bind-address: must be a loopback address, such as 127.0.0.1:8443, " +
		"with --metrics-secure=false")
}

func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
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

// newManager returns the manager, which has the caches, the controller, the metrics and the health checks, and a client
// that bypasses the caches. There is no leader: every replica evaluates, so every replica needs all of it.
func newManager(
	o *managerOptions, config *rest.Config, informers *cluster.Informers, certificates server.CertificateSource, log logr.Logger,
) (manager.Manager, client.Reader, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, corev1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, nil, err
		}
	}
	mapper := newMapper()
	shutdown := 10 * time.Second
	mgr, err := ctrl.NewManager(config, manager.Options{
		Scheme:         scheme,
		MapperProvider: func(*rest.Config, *http.Client) (meta.RESTMapper, error) { return mapper, nil },
		Logger:         log,
		Cache: cache.Options{
			ByObject:                    cluster.CacheOptions(),
			DefaultTransform:            cache.TransformStripManagedFields(),
			NewInformer:                 informers.New,
			ReaderFailOnMissingInformer: true,
		},
		Metrics:                 o.metricsServer(certificates),
		HealthProbeBindAddress:  o.healthProbeBindAddress,
		PprofBindAddress:        o.pprofBindAddress,
		LivenessEndpointName:    "/livez",
		ReadinessEndpointName:   "/readyz",
		GracefulShutdownTimeout: &shutdown,
	})
	if err != nil {
		return nil, nil, err
	}
	live, err := client.New(config, client.Options{HTTPClient: mgr.GetHTTPClient(), Scheme: scheme, Mapper: mapper})
	return mgr, live, err
}

// newMapper returns a mapper for the few kinds that the webhook reads. Discovery would need the API server at startup.
func newMapper() meta.RESTMapper {
	mapper := meta.NewDefaultRESTMapper(nil)
	for _, kind := range []schema.GroupVersionKind{
		v1alpha1.GroupVersion().WithKind(v1alpha1.Kind),
		corev1.SchemeGroupVersion.WithKind("Node"),
		{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"},
	} {
		mapper.Add(kind, meta.RESTScopeRoot)
	}
	return mapper
}

// metricsServer returns the options to serve metrics with the certificate of the admission listener.
func (o *managerOptions) metricsServer(certificates server.CertificateSource) metricsserver.Options {
	options := metricsserver.Options{BindAddress: o.metricsBindAddress}
	if !o.metricsSecure {
		return options
	}
	options.SecureServing = true
	options.FilterProvider = delegatedauth.Filter
	options.TLSOpts = []func(*tls.Config){func(config *tls.Config) {
		config.MinVersion = tls.VersionTLS13
		config.NextProtos = []string{"http/1.1"}
		config.GetCertificate = certificates.GetCertificate
	}}
	return options
}

// addChecks adds the readiness checks, also to the metrics, and a liveness check that depends on nothing: a restart would help
// neither if the API server is unavailable nor if the log is blocked.
func addChecks(mgr manager.Manager, log logr.Logger, checks map[string]healthz.Checker) error {
	for name, check := range checks {
		if err := mgr.AddReadyzCheck(name, logged(name, check, log.WithName("readiness"))); err != nil {
			return err
		}
	}
	if err := metrics.Registry.Register(newInfoCollector(checks)); err != nil {
		return err
	}
	return mgr.AddHealthzCheck("ping", healthz.Ping)
}

// logged logs why a check fails, which the answer to a probe does not say, and that it passes again.
func logged(name string, check healthz.Checker, log logr.Logger) healthz.Checker {
	faults := faultlog.New(log)
	return func(r *http.Request) error {
		err := check(r)
		switch {
		case !faults.Changed(name, err):
		case err != nil:
			log.Info("Not ready", "check", name, "reason", err.Error())
		default:
			log.Info("Ready", "check", name)
		}
		return err
	}
}
