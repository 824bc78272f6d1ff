// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metrics "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	cmwebhook "github.com/cert-manager/cert-manager/internal/webhook"
	"github.com/cert-manager/cert-manager/pkg/webhook/admission"
	"github.com/cert-manager/cert-manager/pkg/webhook/options"
	"github.com/cert-manager/cert-manager/pkg/webhook/server"
)

// runWebhook serves what cert-manager's own webhook has, with a certificate that it issues itself. Its own server would
// listen on all interfaces; this one listens on loopback.
func runWebhook(ctx context.Context, log logr.Logger, o settings) error {
	config, err := options.NewWebhookConfiguration()
	if err != nil {
		return err
	}
	config.KubeConfig = o.kubeconfig
	config.TLSConfig.Dynamic.SecretNamespace = "cert-manager"
	config.TLSConfig.Dynamic.SecretName = "cert-manager-webhook-ca"
	config.TLSConfig.Dynamic.DNSNames = []string{"localhost"}
	s, err := cmwebhook.NewCertManagerWebhookServer(log, *config)
	if err != nil {
		return err
	}
	m, err := ctrl.NewManager(&rest.Config{}, ctrl.Options{ // it needs no API server
		Scheme: s.ResourceScheme, Metrics: metrics.Options{BindAddress: "0"},
		WebhookServer: webhook.NewServer(webhook.Options{
			Host: "localhost", Port: o.port,
			TLSOpts: []func(*tls.Config){func(c *tls.Config) { c.GetCertificate = s.CertificateSource.GetCertificate }},
		}),
	})
	if err != nil {
		return err
	}
	return serve(ctx, m, s)
}

func serve(ctx context.Context, m manager.Manager, s *server.Server) error {
	if err := m.Add(s.CertificateSource); err != nil {
		return err
	}
	m.GetWebhookServer().Register("/mutate", admission.NewCustomMutationWebhook(s.MutationWebhook))
	m.GetWebhookServer().Register("/validate", admission.NewCustomValidationWebhook(m.GetScheme(), s.ValidationWebhook))
	return m.Start(ctx)
}
