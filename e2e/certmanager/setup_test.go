// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package certmanager_test runs the chart with the real cert-manager: certificates and authorities are issued, injected,
// renewed and exchanged while a kubelet writes.
package certmanager_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/dynamic"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/cluster"
)

const (
	// node is whose kubelet writes.
	node = "worker-1"
	// patience bounds how long anything takes, on a machine that has much else to do.
	patience = 3 * time.Minute
	// tag is that of the product's image.
	tag = "current"
)

// TestMain says to controller-runtime, whose client has nothing to say here, that it is not to say so.
func TestMain(m *testing.M) {
	ctrllog.SetLogger(logr.Discard())
	os.Exit(m.Run())
}

// setup is a cluster with cert-manager in which the chart is installed.
type setup struct {
	*cluster.Cluster
	*certManager
	objects dynamic.Interface
	kubelet *suite.Client
	values  []string // with which the chart is installed
}

func newSetup(t *testing.T) *setup {
	t.Helper()
	dir, err := os.MkdirTemp("", "nrp-certmanager-")
	suite.Check(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("data and logs are kept in %s", dir)
		} else if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	binary, err := binaries.Product(t.Context(), t.Output(), binaries.Plain())
	suite.Check(t, err)
	s := &setup{values: []string{"policies.recommended=Deny"}}
	s.Cluster, err = cluster.Start(t.Context(), cluster.Options{
		Dir: dir, Log: t.Output(), Nodes: 3, Images: map[string]string{tag: binary},
	})
	suite.Check(t, err)
	t.Cleanup(s.Stop)
	config, err := s.ControlPlane.Admin()
	suite.Check(t, err)
	s.objects, err = dynamic.NewForConfig(config)
	suite.Check(t, err)
	s.kubelet, err = suite.NewKubelet(s.ControlPlane.APIServer, node)
	suite.Check(t, err)
	if a := s.kubelet.Do(t.Context(), suite.RegisterNode(node, nil)); a.Outcome != suite.Allowed {
		t.Fatalf("the Node does not register: %s", a)
	}
	s.certManager = s.installCertManager(t, dir)
	return s
}

// check ends the test if there is an error.
func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually polls until the condition holds, ends the test if it does not in time, and returns how long it took.
func eventually(t *testing.T, condition func() error) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		err := condition()
		if err == nil {
			return time.Since(began)
		}
		if time.Since(began) > patience {
			t.Fatalf("not within %s: %v", patience, err)
		}
		select {
		case <-t.Context().Done():
			t.Fatal(fmt.Errorf("%w: %w", t.Context().Err(), err))
		case <-time.After(50 * time.Millisecond):
		}
	}
}
