// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package authorizer_test runs API servers with the entry that kubectl nrp authorizer generates.
package authorizer_test

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"noderestriction.plus/e2e/suite"
	"noderestriction.plus/internal/authorizer"
	"noderestriction.plus/internal/command"
)

const (
	timeout = time.Minute // of one step
	// reason is in the answer to every request that the entry denies.
	reason = "kubelets may do only what the Node authorizer allows: system:node:"
)

func TestMain(m *testing.M) { suite.Main(m) }

// run runs kubectl nrp authorizer, and returns what it prints.
func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	root := command.Plugin(command.ByKubectl, authorizer.Command())
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(t.Output())
	root.SetArgs(append([]string{"authorizer"}, args...))
	err := root.Execute()
	return out.String(), err
}

func mustRun(t *testing.T, args ...string) string {
	t.Helper()
	out, err := run(t, args...)
	suite.Check(t, err)
	return out
}

// files are what an API server reads.
type files struct{ config, kubeconfig string }

// newFiles writes the files for an API server, with further arguments of generate. The kubeconfig names another address, if one is
// given.
func newFiles(t *testing.T, dir, address string, args ...string) *files {
	t.Helper()
	f := &files{config: filepath.Join(dir, "authorization.yaml"), kubeconfig: filepath.Join(dir, "authorizer.kubeconfig")}
	kubeconfig := mustRun(t, "kubeconfig")
	if address != "" {
		if !strings.Contains(kubeconfig, "127.0.0.1:1") {
			t.Fatalf("the kubeconfig has another address:\n%s", kubeconfig)
		}
		kubeconfig = strings.ReplaceAll(kubeconfig, "127.0.0.1:1", address)
	}
	suite.Check(t, os.WriteFile(f.kubeconfig, []byte(kubeconfig), 0o600))
	f.write(t, mustRun(t, append([]string{"generate", "--kubeconfig-path", f.kubeconfig}, args...)...))
	return f
}

// write replaces the AuthorizationConfiguration at once.
func (f *files) write(t *testing.T, content string) {
	t.Helper()
	suite.Check(t, os.WriteFile(f.config+".new", []byte(content), 0o600))
	suite.Check(t, os.Rename(f.config+".new", f.config))
}

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
