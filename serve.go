package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"noderestriction.plus/internal/cli"
	"noderestriction.plus/internal/cluster"
	"noderestriction.plus/internal/denial"
	"noderestriction.plus/internal/policystore"
	"noderestriction.plus/internal/server"
	"noderestriction.plus/webhooks"
)

// closeTimeout is how long the last records may take to be written.
const closeTimeout = 5 * time.Second

func serveCommand() *cobra.Command {
	options := &serveOptions{}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the admission webhook",
		Long: "serve answers the API server: POST /admit judges what kubelets write to nodes and pods, POST /policies\n" +
			"validates NodeRestrictionPolicies. Records of denials go to standard output, a JSON line each, and nothing\n" +
			"else does; the log goes to standard error.\n\n" +
			"It starts, and is live, while the API server is away; it is ready once it knows all policies.\n" +
			"Certificates and authorities are read again when their files change. A self-managed certificate is issued and\n" +
			"renewed by the program, of an authority that all replicas share.\n\n" +
			"On SIGTERM it fails its readiness check, goes on for --shutdown-delay and until no requests arrive any more,\n" +
			"finishes those in flight and writes the last records. A second SIGTERM ends it at once.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := options.validate(); err != nil {
				return err
			}
			return serve(cmd.Context(), options, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	options.addFlags(cmd.Flags())
	return cmd
}

// serve runs until a signal ends it. Errors in what the flags name end the program with code 2, all others with 1.
func serve(ctx context.Context, o *serveOptions, records, logs io.Writer) error {
	level, err := logLevel(o.logLevel)
	if err != nil {
		return err
	}
	log := newLogger(logs, level)
	ctrl.SetLogger(log)
	klog.SetLogger(log.WithName("client-go"))

	// If nobody reads the records any more, writes are to be denied all the same, and the loss counted.
	signal.Ignore(syscall.SIGPIPE)
	ctx, restoreSignals := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer restoreSignals()
	context.AfterFunc(ctx, restoreSignals) // a second signal ends the program at once

	in, err := o.read(log)
	if err != nil {
		return err
	}
	p, err := assemble(ctx, o, in, records, log)
	if err != nil {
		return &cli.ExitError{Code: 1, Err: err}
	}
	log.Info("Starting", "version", cli.Version(), "address", p.server.Address().String(), "boot", p.ledger.Boot())
	if err := p.run(ctx); err != nil {
		return &cli.ExitError{Code: 1, Err: err}
	}
	log.Info("Stopped")
	return nil
}

// program is what serve runs.
type program struct {
	log     logr.Logger
	server  *server.Server
	manager manager.Manager
	ledger  *denial.Ledger
	file    *denial.File // nil: none
}

// inputs are what the flags name.
type inputs struct {
	config       *rest.Config
	informers    *cluster.Informers
	certificates server.CertificateSource
	clients      *server.ClientAuthority // nil: none
}

// read reads the files that the flags name. Each error names the flag.
func (o *serveOptions) read(log logr.Logger) (in inputs, err error) {
	if in.config, err = restConfig(o.kubeconfig); err != nil {
		return in, fmt.Errorf("--kubeconfig: %w", err)
	}
	in.informers = cluster.NewInformers(log.WithName("cache"), metrics.Registry)
	if in.certificates, err = o.certificates.open(in, log.WithName("certificates")); err != nil {
		return in, err
	}
	if o.clientCAFile == "" {
		return in, nil
	}
	in.clients, err = server.NewClientAuthority(o.clientCAFile, o.clientAllowedNames, log.WithName("certificates"))
	if err != nil {
		return in, fmt.Errorf("--client-ca-file: %w", err)
	}
	return in, nil
}

// assemble makes all parts, puts them together, and binds the addresses. It does not need the API server.
func assemble(ctx context.Context, o *serveOptions, in inputs, records io.Writer, log logr.Logger) (*program, error) {
	mgr, live, err := newManager(o, in, log)
	if err != nil {
		return nil, err
	}
	counts := denial.NewMetrics(metrics.Registry)
	store := &policystore.Store{}
	objects, err := cluster.NewObjects(in.config, mgr.GetHTTPClient())
	if err != nil {
		return nil, err
	}
	facts := cluster.New(mgr.GetCache(), live, objects, log.WithName("nodes"))
	if err := policystore.Setup(ctx, mgr, store, live, metrics.Registry, counts.Expect, facts.Expect); err != nil {
		return nil, err
	}
	sinks, file, err := o.records.sinks(mgr, live, in.config, log)
	if err != nil {
		return nil, err
	}
	ledger := denial.New(records, append(sinks, counts)...)
	if err := metrics.Registry.Register(ledger); err != nil {
		return nil, err
	}
	if err := o.probe.add(mgr, in.config, log.WithName("probe")); err != nil {
		return nil, err
	}
	srv, err := server.New(server.Options{
		Address:         o.address(),
		Certificates:    in.certificates,
		ClientAuthority: in.clients,
		Handler: webhooks.Routes(
			webhooks.NewHandler(store, facts, ledger, counts, cli.Version(), log.WithName("admit")),
			webhooks.NewPolicyHandler(counts, log.WithName("policies"))),
		Limits:        o.limits,
		ShutdownDelay: o.shutdownDelay,
		Log:           log.WithName("listener"),
		Registerer:    metrics.Registry,
	})
	if err != nil {
		return nil, err
	}
	if err := srv.Listen(ctx); err != nil {
		return nil, err
	}
	return &program{log: log, server: srv, manager: mgr, ledger: ledger, file: file}, addChecks(mgr, log, map[string]healthz.Checker{
		"policies":    store.Check,
		"nodes":       facts.Check,
		"certificate": in.certificates.Check,
		"listener":    srv.Check,
		"requests":    srv.CheckRequests,
		"denial-log":  func(*http.Request) error { return ledger.Healthy() },
	})
}

// run serves until ctx ends. The order of the end is that of what needs what: requests need the manager's caches, and
// everything needs the ledger, whose last records are written last.
func (p *program) run(ctx context.Context) error {
	serving, stopServing := context.WithCancel(ctx)
	defer stopServing()
	managing, stopManaging := context.WithCancel(context.WithoutCancel(ctx))
	defer stopManaging()
	managed := make(chan error, 1)
	go func() {
		// Without the manager the policies would grow old unseen.
		defer stopServing()
		err := p.manager.Start(managing)
		if err != nil {
			p.log.Error(err, "The manager failed")
		}
		managed <- err
	}()
	err := p.server.Run(serving)
	stopManaging()
	err = errors.Join(err, p.managerEnd(managed))

	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	err = errors.Join(err, p.ledger.Close(closing))
	if p.file != nil {
		err = errors.Join(err, p.file.Close(closing))
	}
	return err
}

// managerEnd waits for the manager, which has been told to end, unless its caches were never synced: then it has
// nothing to finish, and controller-runtime v0.25 would wait for the caches for ever.
func (p *program) managerEnd(managed <-chan error) error {
	select {
	case err := <-managed:
		return err
	case <-p.manager.Elected():
		return <-managed
	default:
		return nil
	}
}
