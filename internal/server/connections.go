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

// connections bounds how many connections are open. At the bound a new one takes the place of the one that has been
// of no use for longest, first of those that have never sent a request, then of those that are idle. A listener that
// just stops accepting would let whoever opens enough idle connections shut out the API servers.
type connections struct {
	limit   int
	metrics *metrics

	mu   sync.Mutex
	open map[net.Conn]*connection
	// silent have sent no request yet, idle have no request in flight; both in the order in which they became so.
	silent, idle *list.List
	// arrived is how many connections and requests there were.
	arrived uint64
}

// connection is where an open connection stands, nowhere while it has a request in flight.
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

// move notes the new state of a connection, and returns the connection that has to make room for it, if any.
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

// arrivals is how many connections were opened and requests begun so far.
func (c *connections) arrivals() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.arrived
}

// victim is the connection to close before one more is opened: the newcomer itself if all others have requests in
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

// forget takes a connection out of the count at once; its closing is reported only later.
func (c *connections) forget(conn net.Conn) {
	held := c.open[conn]
	held.in.Remove(held.at)
	delete(c.open, conn)
}

// abort closes a connection without the farewell of TLS, for which a peer that does not read could keep us waiting.
func abort(conn net.Conn) {
	if wrapped, ok := conn.(*tls.Conn); ok {
		conn = wrapped.NetConn()
	}
	// What a failed close would leave open ends by its read deadline.
	_ = conn.Close()
}
