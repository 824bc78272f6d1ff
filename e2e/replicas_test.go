// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/suite"
)

// testReplicas shows that the records, counters and audit log of three replicas add up to the answers, and that the status of the
// policy is their sum.
func (s *environment) testReplicas(t *testing.T) {
	const node, writes = "records-replicas", 800
	kubelet := s.offender(t, node)
	replicas := []*product.Product{s.product}
	for i := range 2 {
		p, err := s.StartProduct(t.Context(), product.Options{
			Binary: s.product.Binary(), Dir: filepath.Join(s.Dir, fmt.Sprintf("replica-%d", i+2)),
		})
		suite.Check(t, err)
		t.Cleanup(func() { suite.Check(t, p.Stop()) })
		replicas = append(replicas, p)
	}
	address, connections := balance(t, replicas)
	suite.Check(t, s.SetURL(t.Context(), address))
	t.Cleanup(func() { suite.Check(t, s.SetURL(context.WithoutCancel(t.Context()), s.product.URL)) })
	dry := suite.AddFinalizer(node)
	dry.DryRun = true
	suite.Eventually(t, 10*time.Second, func() error {
		if kubelet.Send(t, dry); connections.Load() == 0 {
			return errors.New("the API server does not call the replicas yet")
		}
		return nil
	})
	first := make([]int, len(replicas))
	denials := make([]float64, len(replicas))
	for i, p := range replicas {
		var err error
		first[i], err = p.Records.Len()
		suite.Check(t, err)
		denials[i] = s.denialsOf(t, p)
	}
	offendConcurrently(t, kubelet, node, writes)

	total := 0
	uids := map[string]bool{}
	for i, p := range replicas {
		records, err := p.Records.Since(first[i])
		suite.Check(t, err)
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

func (s *environment) denialsOf(t *testing.T, p *product.Product) float64 {
	t.Helper()
	m, err := p.Metrics(t.Context())
	suite.Check(t, err)
	return m.Sum("node_restriction_plus_denials_total")
}

// balance forwards connections to the replicas in turn, as a Service does. It returns the address and the number of connections.
func balance(t *testing.T, replicas []*product.Product) (string, *atomic.Int64) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	suite.Check(t, err)
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

// pass copies in both directions until one side or the context ends.
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
