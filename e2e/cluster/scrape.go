// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"net/http"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"noderestriction.plus/e2e/metrics"
	"noderestriction.plus/e2e/suite"
)

// scraper reads the metrics of replicas with a service account that may do nothing else.
type scraper struct {
	scraperMu sync.Mutex
	client    *http.Client
}

const scraperName = "scraper"

// Metrics reads the metrics of a replica as Prometheus does.
func (r *Replica) Metrics(ctx context.Context) (metrics.Metrics, error) {
	client, err := r.node.cluster.scrapeClient(ctx)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	address, running := r.ports["metrics"], r.process != nil
	r.mu.Unlock()
	if !running || address == "" {
		return nil, errors.New("the container does not run, or has no metrics")
	}
	return metrics.FromClient(ctx, client, "https://"+address+"/metrics")
}

func (c *Cluster) scrapeClient(ctx context.Context) (*http.Client, error) {
	c.scraperMu.Lock()
	defer c.scraperMu.Unlock()
	if c.scraper.client != nil {
		return c.scraper.client, nil
	}
	if err := suite.AllowMetrics(ctx, c.Admin, metav1.NamespaceDefault, scraperName); err != nil {
		return nil, err
	}
	token, err := suite.Token(ctx, c.Admin, metav1.NamespaceDefault, scraperName)
	if err != nil {
		return nil, err
	}
	c.scraper.client, err = rest.HTTPClientFor(&rest.Config{
		BearerToken: token,
		// As in a ServiceMonitor: the address is that of a pod, and the certificate is for the Service.
		TLSClientConfig: rest.TLSClientConfig{Insecure: true},
	})
	return c.scraper.client, err
}
