// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"container/list"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// connections bounds how many connections are open. At the bound a new one evicts the connection that has been useless for
// longest: first among those that have never sent a request, then among those that are idle. If the listener just stopped
// accepting, anyone who opens enough idle connections could shut out the API servers.
type connections struct {
	limit   int
	metrics *metrics

	mu   sync.Mutex
	open map[net.Conn]*connection
	// silent are the connections that have sent no request yet, idle those without a request in flight; both oldest first.
	silent, idle *list.List
	// arrived counts connections and requests.
	arrived uint64
}

// connection is the place of an open connection in a list; it is in none while it has a request in flight.
type connection struct {
	in *list.List
	at *list.Element
}

func newConnections(limit int, m *metrics) *connections {
	return &connections{
		limit: limit, metrics: m, open: map[net.Conn]*connection{}, silent: list.New(), idle: list.New(),
	}
}

// changed is the server's ConnState hook.
func (c *connections) changed(conn net.Conn, state http.ConnState) {
	if victim := c.move(conn, state); victim != nil {
		c.metrics.connectionsEvicted.Inc()
		abort(victim)
	}
}

// move records the new state of a connection, and returns the connection to evict for it, if any.
func (c *connections) move(conn net.Conn, state http.ConnState) net.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer func() { c.metrics.connections.Set(float64(len(c.open))) }()
	held := c.open[conn]
	if held != nil && held.in != nil {
		held.in.Remove(held.at)
		held.in, held.at = nil, nil
	}
	if state == http.StateNew || state == http.StateActive {
		c.arrived++
	}
	switch {
	case state == http.StateNew:
		victim := c.victim(conn)
		held = &connection{}
		c.open[conn] = held
		held.in, held.at = c.silent, c.silent.PushBack(conn)
		return victim
	case held == nil:
	case state == http.StateIdle:
		held.in, held.at = c.idle, c.idle.PushBack(conn)
	case state == http.StateClosed, state == http.StateHijacked:
		delete(c.open, conn)
	}
	return nil
}

// arrivals returns how many connections and requests have arrived so far.
func (c *connections) arrivals() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.arrived
}

// victim returns the connection to close before another is opened: the new one itself if all others have requests in
// flight.
func (c *connections) victim(newcomer net.Conn) net.Conn {
	if len(c.open) < c.limit {
		return nil
	}
	for _, candidates := range []*list.List{c.silent, c.idle} {
		if first := candidates.Front(); first != nil {
			victim := first.Value.(net.Conn)
			c.forget(victim)
			return victim
		}
	}
	return newcomer
}

// forget removes a connection from the count immediately; its closing is reported later.
func (c *connections) forget(conn net.Conn) {
	held := c.open[conn]
	held.in.Remove(held.at)
	delete(c.open, conn)
}

// abort closes a connection without a TLS close notification, which would block if the peer does not read.
func abort(conn net.Conn) {
	if wrapped, ok := conn.(*tls.Conn); ok {
		conn = wrapped.NetConn()
	}
	// If closing fails, the read deadline ends the connection.
	_ = conn.Close()
}
