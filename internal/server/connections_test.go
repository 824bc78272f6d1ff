// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

func TestIdleConnectionsMakeRoom(t *testing.T) {
	r := start(t, http.HandlerFunc(echo), func(_ *rig, o *Options) { o.Limits.MaxConnections = 8 })
	// Some have had an answer and are idle, some have never sent a request, some send one slowly.
	for i := range 42 {
		conn := r.dial(t)
		switch i % 3 {
		case 0:
			fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost:")
		case 1:
			fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
		}
	}
	for range 20 {
		client := r.client(t)
		if code, _ := post(t, client, r.url(), strings.NewReader("{}")); code != 200 {
			t.Errorf("got %d", code)
		}
	}
	if n := r.metric(t, "node_restriction_plus_connections"); n > 8 {
		t.Errorf("%v connections are open", n)
	}
	if n := r.metric(t, "node_restriction_plus_connections_evicted_total"); n < 50 {
		t.Errorf("%v evicted", n)
	}
}

func TestNewcomerIsRefusedWhileAllAreBusy(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	r := start(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		entered <- struct{}{}
		<-leave
	}), func(_ *rig, o *Options) { o.Limits.MaxConnections = 2 })
	codes := make(chan int, 2)
	for range 2 {
		client := r.client(t)
		go func() {
			response, err := client.Get(r.url())
			if err != nil {
				codes <- 0
				return
			}
			response.Body.Close()
			codes <- response.StatusCode
		}()
		<-entered
	}
	client := r.client(t)
	client.Timeout = time.Second
	if response, err := client.Get(r.url()); err == nil {
		response.Body.Close()
		t.Error("a third connection was served")
	}
	close(leave)
	for range 2 {
		if code := <-codes; code != 200 {
			t.Errorf("a request in flight was answered with %d", code)
		}
	}
}

// An API server opens a connection for a request that another connection then carries, and keeps it for a later one.
func TestAConnectionThatHasSentNothingYetStaysOpen(t *testing.T) {
	r := start(t, http.HandlerFunc(echo))
	conn := r.dial(t)
	if err := conn.SetReadDeadline(time.Now().Add(bodyTimeout + time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the connection was closed: %v", err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(bodyTimeout)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("answered with %s", response.Status)
	}
}
