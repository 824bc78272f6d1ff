// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/godbus/dbus/v5"
	"k8s.io/klog/v2"
)

// startLogind replaces the machine's system bus, for this process, with one on which systemd-logind announces a shutdown of the
// machine on SIGUSR1. The shutdown never happens.
func startLogind(ctx context.Context, socket string) error {
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	if err := os.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+socket); err != nil {
		return err
	}
	shutdown := make(chan os.Signal, 1)
	signal.Notify(shutdown, syscall.SIGUSR1)
	go func() {
		for ctx.Err() == nil {
			conn, err := listener.Accept()
			if err != nil {
				klog.ErrorS(err, "system bus")
				return
			}
			go serveLogind(ctx, conn, shutdown)
		}
	}()
	return nil
}

// serveLogind answers on one connection.
func serveLogind(ctx context.Context, conn net.Conn, shutdown <-chan os.Signal) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	if err := authenticate(in, conn); err != nil {
		klog.ErrorS(err, "system bus: authentication")
		return
	}
	calls := make(chan *dbus.Message)
	go func() {
		defer close(calls)
		for {
			call, err := dbus.DecodeMessage(in)
			if err != nil {
				return // the kubelet has hung up
			}
			calls <- call
		}
	}()
	for {
		var out *dbus.Message
		select {
		case <-ctx.Done():
			return
		case <-shutdown:
			out = prepareForShutdown()
		case call, ok := <-calls:
			if !ok {
				return
			}
			out = answer(call)
		}
		if err := out.EncodeTo(conn, binary.LittleEndian); err != nil {
			klog.ErrorS(err, "system bus")
			return
		}
	}
}

// authenticate accepts every client.
func authenticate(in *bufio.Reader, out io.Writer) error {
	if _, err := in.ReadByte(); err != nil { // a zero byte comes first
		return err
	}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		answer := "ERROR" // no descriptors are passed
		switch word := strings.Fields(line); {
		case len(word) == 1 && word[0] == "BEGIN":
			return nil
		case len(word) == 1 && word[0] == "AUTH":
			answer = "REJECTED EXTERNAL"
		case len(word) > 1 && word[0] == "AUTH":
			answer = "OK 0123456789abcdef0123456789abcdef"
		}
		if _, err := io.WriteString(out, answer+"\r\n"); err != nil {
			return err
		}
	}
}

// answer answers a call of a kubelet that watches for shutdowns.
func answer(call *dbus.Message) *dbus.Message {
	out := &dbus.Message{
		Type:    dbus.TypeMethodReply,
		Headers: map[dbus.HeaderField]dbus.Variant{dbus.FieldReplySerial: dbus.MakeVariant(call.Serial())},
	}
	switch call.Headers[dbus.FieldMember].Value() {
	case "Hello":
		out.Body = []any{":1.1"}
	case "Get": // InhibitDelayMaxUSec
		out.Body = []any{dbus.MakeVariant(uint64(shutdownGracePeriod.Microseconds()))}
	case "Inhibit":
		// A descriptor of this process, which the kubelet closes when it has done its part.
		lock, err := syscall.Dup(0)
		if err != nil {
			klog.ErrorS(err, "system bus: lock")
		}
		out.Body = []any{uint32(lock)}
	}
	if len(out.Body) > 0 {
		out.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(out.Body...))
	}
	return out
}

// prepareForShutdown returns the signal of logind before a shutdown.
func prepareForShutdown() *dbus.Message {
	return &dbus.Message{
		Type: dbus.TypeSignal,
		Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldPath:      dbus.MakeVariant(dbus.ObjectPath("/org/freedesktop/login1")),
			dbus.FieldInterface: dbus.MakeVariant("org.freedesktop.login1.Manager"),
			dbus.FieldMember:    dbus.MakeVariant("PrepareForShutdown"),
			dbus.FieldSender:    dbus.MakeVariant(":1.0"),
			dbus.FieldSignature: dbus.MakeVariant(dbus.SignatureOf(true)),
		},
		Body: []any{true},
	}
}
