// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/e2e/product"
)

// testReplicas shows that three replicas keep one account: records, counters and audit log add up to what was answered, and
// the status of the policy is the sum of what each of them adds.
func (s *suite) testReplicas(t *testing.T) {
	const node, writes = "records-replicas", 800
	kubelet := s.offender(t, node)
	replicas := []*product.Product{s.product}
	config, err := s.stock.Admin()
	check(t, err)
	for i := range 2 {
		p, err := product.Start(t.Context(), product.Options{
			Binary: s.product.Binary(), Dir: filepath.Join(s.dir, fmt.Sprintf("replica-%d", i+2)), Config: config, CA: s.stock.CA,
		})
		check(t, err)
		t.Cleanup(func() { check(t, p.Stop()) })
		replicas = append(replicas, p)
	}
	address, connections := balance(t, replicas)
	s.point(t, address)
	dry := patchStatus(node, addsFinalizer)
	dry.query = url.Values{"dryRun": {"All"}}
	eventually(t, 10*time.Second, func() error {
		if _, err := kubelet.do(t.Context(), dry); err != nil || connections.Load() > 0 {
			return err
		}
		return errors.New("the API server does not call the replicas yet")
	})
	first := make([]int, len(replicas))
	denials := make([]float64, len(replicas))
	for i, p := range replicas {
		first[i], err = p.Records.Len()
		check(t, err)
		denials[i] = s.denialsOf(t, p)
	}
	kubelet.offendAtOnce(t, node, writes)

	total := 0
	uids := map[string]bool{}
	for i, p := range replicas {
		records, err := p.Records.Since(first[i])
		check(t, err)
		for _, r := range records {
			uids[r.UID] = true
		}
		if counted := s.denialsOf(t, p) - denials[i]; int(counted) != len(records) || len(records) == 0 {
			t.Errorf("replica %d counts %g denials and has %d records", i+1, counted, len(records))
		}
		total += len(records)
	}
	if total != writes || len(uids) != writes {
		t.Errorf("%d records of %d requests, want %d", total, len(uids), writes)
	}
	s.awaitStatus(t, node, writes)
}

func (s *suite) denialsOf(t *testing.T, p *product.Product) float64 {
	t.Helper()
	m, err := p.Metrics(t.Context())
	check(t, err)
	return m.Sum("node_restriction_plus_denials_total")
}

// balance passes connections on to the replicas, one after the other, as a Service does. It returns the address, and how
// many there were.
func balance(t *testing.T, replicas []*product.Product) (string, *atomic.Int64) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	check(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() {
		cancel()
		_ = listener.Close()
	})
	next := &atomic.Int64{}
	go func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return // closed
			}
			target := replicas[int(next.Add(1))%len(replicas)]
			go pass(ctx, in, strings.TrimPrefix(target.URL, "https://"))
		}
	}()
	return "https://" + listener.Addr().String(), next
}

// pass copies both ways until one side or the context ends.
func pass(ctx context.Context, in net.Conn, address string) {
	defer in.Close()
	out, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return
	}
	defer out.Close()
	defer context.AfterFunc(ctx, func() { _ = in.Close() })()
	go func() {
		defer out.Close()
		_, _ = io.Copy(out, in)
	}()
	_, _ = io.Copy(in, out)
}

// point has the API server call the webhooks at another address, for the time of the test.
func (s *suite) point(t *testing.T, address string) {
	t.Helper()
	set := func(ctx context.Context, address string) {
		configurations := s.admin.AdmissionregistrationV1().ValidatingWebhookConfigurations()
		c, err := configurations.Get(ctx, "node-restriction-plus", metav1.GetOptions{})
		check(t, err)
		for i := range c.Webhooks {
			path := (*c.Webhooks[i].ClientConfig.URL)[strings.LastIndex(*c.Webhooks[i].ClientConfig.URL, "/"):]
			c.Webhooks[i].ClientConfig.URL = new(address + path)
		}
		_, err = configurations.Update(ctx, c, metav1.UpdateOptions{})
		check(t, err)
	}
	set(t.Context(), address)
	t.Cleanup(func() { set(context.WithoutCancel(t.Context()), s.product.URL) })
}
