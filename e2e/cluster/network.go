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

// network carries what API servers send to pods. No interface has the pods' addresses: API servers are told, as where
// konnectivity is used, to reach the cluster by way of an HTTP proxy, and this is the proxy.
type network struct {
	server *http.Server
	socket string

	mu     sync.Mutex
	routes map[string]string // address of a pod, with port, to that of the process; empty: nobody answers any more
	cut    chan struct{}     // closed when the network is no more cut; nil: it is not
}

// startNetwork listens at a socket in the folder.
func startNetwork(dir string) (*network, error) {
	socket := filepath.Join(dir, "egress.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	n := &network{socket: socket, routes: map[string]string{}}
	n.server = &http.Server{Handler: n, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = n.server.Serve(listener) }() // it ends when it is closed
	return n, nil
}

func (n *network) stop() { _ = n.server.Close() }

// writeEgress writes the file that tells an API server of the proxy, and returns its path.
func (n *network) writeEgress(dir string) (string, error) {
	path := filepath.Join(dir, "egress.yaml")
	return path, os.WriteFile(path, fmt.Appendf(nil, `apiVersion: apiserver.k8s.io/v1beta1
kind: EgressSelectorConfiguration
egressSelections:
- name: cluster
  connection: {proxyProtocol: HTTPConnect, transport: {uds: {udsName: %q}}}
`, n.socket), 0o644)
}

// route sends what goes to the address of a pod to that of a process. To an empty one nothing answers, not even that
// nobody is there.
func (n *network) route(pod, process string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.routes[pod] = process
}

// unroute has connections to the address of a pod refused.
func (n *network) unroute(pod string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.routes, pod)
}

// setCut says whether API servers are cut off from all pods: nothing arrives, also of what was sent before.
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

// awaitWhole waits until the network is not cut.
func (n *network) awaitWhole(ctx context.Context) error {
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

// ServeHTTP connects a client with a pod.
func (n *network) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		http.Error(w, "only CONNECT", http.StatusMethodNotAllowed)
		return
	}
	if n.awaitWhole(r.Context()) != nil {
		return // the client is gone
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

// tunnel copies both ways until one side ends.
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
		return nil // the client is gone
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

// copy copies what can be read, but nothing while the network is cut, until a side ends.
func (n *network) copy(ctx context.Context, to io.Writer, from io.Reader) {
	data := make([]byte, 32<<10)
	for {
		size, err := from.Read(data)
		if n.awaitWhole(ctx) != nil {
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
