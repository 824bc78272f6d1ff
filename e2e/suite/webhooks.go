// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"context"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"

	"noderestriction.plus/e2e/product"
)

// Webhooks returns the product's webhook configuration.
func (s *Suite) Webhooks(t testing.TB) *admissionregistrationv1.ValidatingWebhookConfiguration {
	t.Helper()
	c, err := s.Admin.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(t.Context(), product.Name, metav1.GetOptions{})
	Check(t, err)
	return c
}

// ChangeWebhooks changes each webhook of the product's configuration. Others may change them at the same time.
func (s *Suite) ChangeWebhooks(ctx context.Context, change func(*admissionregistrationv1.ValidatingWebhook)) error {
	configurations := s.Admin.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		c, err := configurations.Get(ctx, product.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for i := range c.Webhooks {
			change(&c.Webhooks[i])
		}
		_, err = configurations.Update(ctx, c, metav1.UpdateOptions{})
		return err
	})
}

// Reconnect makes the API server open new connections to the product: it keeps them as long as the CA bundle of a webhook stays
// the same byte for byte.
func (s *Suite) Reconnect(ctx context.Context) error {
	return s.ChangeWebhooks(ctx, func(w *admissionregistrationv1.ValidatingWebhook) {
		w.ClientConfig.CABundle = append(w.ClientConfig.CABundle, '\n')
	})
}

// SetURL makes the API server call the webhooks at another address, which begins with https.
func (s *Suite) SetURL(ctx context.Context, address string) error {
	return s.ChangeWebhooks(ctx, func(w *admissionregistrationv1.ValidatingWebhook) {
		url := *w.ClientConfig.URL
		w.ClientConfig.URL = new(address + url[strings.LastIndex(url, "/"):])
	})
}

// RaiseTimeouts gives the product more time to answer: what fails then does not fail because the machine is too busy. The function
// that it returns restores the timeouts.
func (s *Suite) RaiseTimeouts(ctx context.Context, seconds int32) (restore func(context.Context) error, err error) {
	before := map[string]int32{}
	err = s.ChangeWebhooks(ctx, func(w *admissionregistrationv1.ValidatingWebhook) {
		before[w.Name] = *w.TimeoutSeconds
		w.TimeoutSeconds = &seconds
	})
	return func(ctx context.Context) error {
		return s.ChangeWebhooks(ctx, func(w *admissionregistrationv1.ValidatingWebhook) {
			if seconds, found := before[w.Name]; found {
				w.TimeoutSeconds = &seconds
			}
		})
	}, err
}
