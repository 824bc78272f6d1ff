// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// network is the HTTP proxy through which API servers reach pods, as with konnectivity: no interface has the addresses of the pods.
type network struct {
	server *http.Server
	socket string

	mu     sync.Mutex
	routes map[string]string // by address of the pod, with port: address of the process; empty: never answered
	cut    chan struct{}     // closed when the network is restored; nil: the network is not cut
}

// startNetwork listens on a socket in the directory.
func startNetwork(dir string) (*network, error) {
	socket := filepath.Join(dir, "egress.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	n := &network{socket: socket, routes: map[string]string{}}
	n.server = &http.Server{Handler: n, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = n.server.Serve(listener) }() // until it is closed
	return n, nil
}

func (n *network) stop() { _ = n.server.Close() }

// writeEgress writes the configuration of the proxy for an API server and returns its path.
func (n *network) writeEgress(dir string) (string, error) {
	path := filepath.Join(dir, "egress.yaml")
	return path, os.WriteFile(path, fmt.Appendf(nil, `apiVersion: apiserver.k8s.io/v1beta1
kind: EgressSelectorConfiguration
egressSelections:
- name: cluster
  connection: {proxyProtocol: HTTPConnect, transport: {uds: {udsName: %q}}}
`, n.socket), 0o644)
}

// route routes connections to the address of a pod to a process. Connections to an empty address are neither accepted nor refused.
func (n *network) route(pod, process string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.routes[pod] = process
}

// unroute refuses connections to the address of a pod.
func (n *network) unroute(pod string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.routes, pod)
}

// setCut cuts API servers off from all pods, including open connections, or restores the network.
func (n *network) setCut(cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if cut && n.cut == nil {
		n.cut = make(chan struct{})
	} else if !cut && n.cut != nil {
		close(n.cut)
		n.cut = nil
	}
}

// awaitRestored waits until the network is not cut.
func (n *network) awaitRestored(ctx context.Context) error {
	n.mu.Lock()
	cut := n.cut
	n.mu.Unlock()
	if cut == nil {
		return nil
	}
	select {
	case <-cut:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (n *network) lookup(pod string) (process string, found bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	process, found = n.routes[pod]
	return process, found
}

// ServeHTTP connects a client to a pod.
func (n *network) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		http.Error(w, "only CONNECT", http.StatusMethodNotAllowed)
		return
	}
	if n.awaitRestored(r.Context()) != nil {
		return // the client has disconnected
	}
	process, found := n.lookup(r.Host)
	if !found {
		http.Error(w, "connection refused", http.StatusBadGateway)
		return
	}
	if process == "" {
		<-r.Context().Done()
		return
	}
	out, err := new(net.Dialer).DialContext(r.Context(), "tcp", process)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer out.Close()
	if err := n.tunnel(w, out); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// tunnel copies in both directions until one side ends.
func (n *network) tunnel(w http.ResponseWriter, out net.Conn) error {
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		return errors.New("not a connection")
	}
	in, buffered, err := hijacker.Hijack()
	if err != nil {
		return err
	}
	defer in.Close()
	if _, err := io.WriteString(in, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return nil // the client has disconnected
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer cancel()
		n.copy(ctx, out, buffered)
	}()
	go func() {
		defer cancel()
		n.copy(ctx, in, out)
	}()
	<-ctx.Done()
	return nil
}

// copy copies until a side ends, but nothing while the network is cut.
func (n *network) copy(ctx context.Context, to io.Writer, from io.Reader) {
	data := make([]byte, 32<<10)
	for {
		size, err := from.Read(data)
		if n.awaitRestored(ctx) != nil {
			return
		}
		if size > 0 {
			if _, err := to.Write(data[:size]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
