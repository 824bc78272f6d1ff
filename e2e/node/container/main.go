// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Command container is the program of the containers of e2e/node. It runs until it gets a signal to terminate, unless its flags say
// otherwise.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "container:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("container", flag.ContinueOnError)
	listen := flags.String("listen", "", "serve HTTP at this address, which answers 200 as long as the file of --unless does not exist")
	unless := flags.String("unless", "", "with --listen: answer 503 while this file exists")
	require := flags.String("require", "", "exit immediately: with 0 if this file exists, with 1 otherwise")
	touch := flags.String("touch", "", "create this file")
	fill := flags.String("fill", "", "write --megabytes to this file")
	megabytes := flags.Int("megabytes", 0, "size of the file of --fill, in MiB")
	after := flags.Duration("after", 0, "exit after this time with --code; 0: only after a signal")
	code := flags.Int("code", 0, "the exit code after the time of --after")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *require != "" {
		_, err := os.Stat(*require)
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := write(*touch, 0); err != nil {
		return err
	}
	if err := write(*fill, *megabytes); err != nil {
		return err
	}
	if *listen != "" {
		go serve(*listen, *unless)
	}
	if *after == 0 {
		<-ctx.Done()
		return nil
	}
	select {
	case <-ctx.Done():
	case <-time.After(*after):
		stop()
		os.Exit(*code)
	}
	return nil
}

// write writes a file of a size, unless its path is empty.
func write(path string, megabytes int) error {
	if path == "" {
		return nil
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	block := make([]byte, 1<<20)
	for range megabytes {
		if _, err := f.Write(block); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return f.Close()
}

// serve answers probes. If it cannot listen, the program exits with 1.
func serve(address, unless string) {
	server := http.Server{Addr: address, ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request) {
			if _, err := os.Stat(unless); unless != "" && !errors.Is(err, fs.ErrNotExist) {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		})}
	fmt.Fprintln(os.Stderr, "container:", server.ListenAndServe())
	os.Exit(1)
}
