// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"noderestriction.plus/internal/cluster"
	"noderestriction.plus/internal/conditions"
	"noderestriction.plus/internal/denial"
	"noderestriction.plus/internal/kubeconfig"
	"noderestriction.plus/internal/policystore"
	"noderestriction.plus/internal/program"
	"noderestriction.plus/internal/server"
	"noderestriction.plus/policy/rules"
	"noderestriction.plus/webhooks"
)

// closeTimeout bounds the writing of the last records.
const closeTimeout = 5 * time.Second

// parts are the running parts of the webhook.
type parts struct {
	log      logr.Logger
	server   *server.Server
	manager  manager.Manager
	recorder *denial.Recorder
	file     *denial.File // nil: none
}

// inputs are the files and connections that the flags name.
type inputs struct {
	config       *rest.Config
	informers    *cluster.Informers
	certificates server.CertificateSource
	clients      *server.ClientCA // nil: none
	base         *conditions.Base // nil: none
}

// read reads the files that the flags name. Each error names the flag.
func read(o *options, log logr.Logger) (in inputs, err error) {
	if in.config, err = kubeconfig.Load(o.kubeconfig); err != nil {
		return in, fmt.Errorf("--kubeconfig: %w", err)
	}
	in.informers = cluster.NewInformers(log.WithName("cache"), metrics.Registry)
	if in.certificates, err = o.certificates.open(in.config, in.informers, log.WithName("certificates")); err != nil {
		return in, err
	}
	if in.base, err = o.conditions.read(); err != nil {
		return in, err
	}
	if o.clientCAFile == "" {
		return in, nil
	}
	in.clients, err = server.NewClientCA(o.clientCAFile, o.clientAllowedNames, log.WithName("certificates"))
	if err != nil {
		return in, fmt.Errorf("--client-ca-file: %w", err)
	}
	return in, nil
}

// assemble creates and connects all parts, and binds the addresses. It does not need the API server.
func assemble(ctx context.Context, o *options, in inputs, records io.Writer, log logr.Logger) (*parts, error) {
	mgr, live, err := newManager(&o.manager, in.config, in.informers, in.certificates, log)
	if err != nil {
		return nil, err
	}
	compiler := rules.NewCompiler()
	counts := denial.NewMetrics(metrics.Registry, compiler.Rules())
	store := &policystore.Store{}
	objects, err := cluster.NewObjects(in.config, mgr.GetHTTPClient())
	if err != nil {
		return nil, err
	}
	evaluations := denial.NewEvaluations(live, mgr.GetClient(), log.WithName("status"))
	if err := mgr.Add(evaluations); err != nil {
		return nil, err
	}
	facts := cluster.New(mgr.GetCache(), live, objects, log.WithName("nodes"))
	if err := policystore.Setup(
		ctx, mgr, store, compiler, live, metrics.Registry, counts.Expect, evaluations.Expect, facts.Expect,
	); err != nil {
		return nil, err
	}
	sinks, file, err := o.records.sinks(mgr, live, in.config, log)
	if err != nil {
		return nil, err
	}
	recorder := denial.New(records, append(sinks, counts)...)
	if err := metrics.Registry.Register(recorder); err != nil {
		return nil, err
	}
	keeper, err := o.conditions.add(
		mgr, in.config, in.informers, in.base, store, compiler.Rules(), log.WithName("conditions"))
	if err != nil {
		return nil, err
	}
	if err := o.probe.add(mgr, in.config, keeper, log); err != nil {
		return nil, err
	}
	srv, err := server.New(server.Options{
		Address:      o.address(),
		Certificates: in.certificates,
		ClientCA:     in.clients,
		Handler: webhooks.Routes(
			webhooks.NewHandler(store, facts, recorder, counts, evaluations, program.Version(), log.WithName("admit")),
			webhooks.NewPolicyHandler(compiler, counts, log.WithName("policies"))),
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
	return &parts{log: log, server: srv, manager: mgr, recorder: recorder, file: file}, addChecks(mgr, log, map[string]healthz.Checker{
		"policies":    store.Check,
		"nodes":       facts.Check,
		"certificate": in.certificates.Check,
		"listener":    srv.Check,
		"requests":    srv.CheckRequests,
		"denial-log":  func(*http.Request) error { return recorder.Healthy() },
	})
}

// run serves until ctx ends. Parts stop in the order of their dependencies: requests need the manager's caches, and everything
// needs the recorder, whose last records are written last.
func (p *parts) run(ctx context.Context) error {
	serving, stopServing := context.WithCancel(ctx)
	defer stopServing()
	managing, stopManaging := context.WithCancel(context.WithoutCancel(ctx))
	defer stopManaging()
	managed := make(chan error, 1)
	go func() {
		// Without the manager the policies would become stale unnoticed.
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
	err = errors.Join(err, p.recorder.Close(closing))
	if p.file != nil {
		err = errors.Join(err, p.file.Close(closing))
	}
	return err
}

// managerEnd waits for the manager, which has been stopped, unless its caches were never synced: then it has nothing to
// finish, and controller-runtime v0.25 would wait for the caches for ever.
func (p *parts) managerEnd(managed <-chan error) error {
	select {
	case err := <-managed:
		return err
	case <-p.manager.Elected():
		return <-managed
	default:
		return nil
	}
}
