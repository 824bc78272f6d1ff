// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"net/http"
	"sync"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"noderestriction.plus/e2e/metrics"
)

// scraper is who reads the metrics of replicas: an account that may do nothing else.
type scraper struct {
	scraperMu sync.Mutex
	client    *http.Client
}

const scraperName = "scraper"

// Metrics are the metrics of a replica, as Prometheus reads them.
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
	if err := c.createScraper(ctx); err != nil {
		return nil, err
	}
	token, err := c.Admin.CoreV1().ServiceAccounts(metav1.NamespaceDefault).
		CreateToken(ctx, scraperName, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	c.scraper.client, err = rest.HTTPClientFor(&rest.Config{
		BearerToken: token.Status.Token,
		// As a ServiceMonitor has it: the address is that of a pod, the certificate for the Service.
		TLSClientConfig: rest.TLSClientConfig{Insecure: true},
	})
	return c.scraper.client, err
}

func (c *Cluster) createScraper(ctx context.Context) error {
	meta := metav1.ObjectMeta{Name: scraperName}
	_, err := c.Admin.CoreV1().ServiceAccounts(metav1.NamespaceDefault).
		Create(ctx, &corev1.ServiceAccount{ObjectMeta: meta}, metav1.CreateOptions{})
	_, roleErr := c.Admin.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{
		ObjectMeta: meta, Rules: []rbacv1.PolicyRule{{NonResourceURLs: []string{"/metrics"}, Verbs: []string{"get"}}},
	}, metav1.CreateOptions{})
	_, bindErr := c.Admin.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: scraperName},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: scraperName, Namespace: metav1.NamespaceDefault}},
	}, metav1.CreateOptions{})
	for _, err := range []error{err, roleErr, bindErr} {
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	return nil
}
