// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package authorizer_test runs API servers with the entry that kubectl nrp authorizer generates.
package authorizer_test

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	"noderestriction.plus/e2e/suite"
)

const timeout = time.Minute // of one step

func TestMain(m *testing.M) { suite.Main(m) }

// countCalls listens on the loopback interface and counts connections, which it closes.
func countCalls(t *testing.T) (address string, calls *atomic.Int64) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	suite.Check(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	calls = new(atomic.Int64)
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			calls.Add(1)
			_ = connection.Close()
		}
	}()
	return listener.Addr().String(), calls
}
