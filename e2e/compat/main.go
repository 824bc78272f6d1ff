// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Command compat runs tests of e2e with another release of Kubernetes than that of e2e/tools, and writes the results into
// docs/compatibility.md.
//
//	go run ./compat -kube-apiserver 1.31   the API server of the newest patch release of 1.31
//	go run ./compat -kubelet 1.34.1        the kubelet of 1.34.1
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"noderestriction.plus/e2e/binaries"
)

// component is a program of Kubernetes, and the tests that run with its other releases.
type component struct {
	program  binaries.Program
	variable string // of the Makefile
	tests    []tests
}

// tests are tests of a package.
type tests struct {
	pkg   string
	names []string
}

func components() []component {
	return []component{
		{
			program: binaries.KubeAPIServer(), variable: "KUBE",
			tests: []tests{
				// One after the other: a test floods the webhook, which must answer in time.
				{".", []string{"TestProduct"}},
				{".", []string{"TestRecords"}},
				{"./profiles", []string{"TestAPIServerAcceptsWhatIsRendered", "TestSecondSyncChangesNothing"}},
				{"./apply", []string{"TestSections"}},
				{"./policies", []string{"TestCheckAgreesWithTheAPIServer"}},
			},
		},
		{
			program: binaries.Kubelet(), variable: "KUBELET",
			tests: []tests{{".", []string{"TestKubelets"}}},
		},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	versions := map[string]*string{}
	for _, c := range components() {
		versions[c.program.Name] = flag.String(c.program.Name, "", "release, such as 1.31 or 1.31.14")
	}
	flag.Parse()
	ran := false
	for _, c := range components() {
		version := *versions[c.program.Name]
		if version == "" {
			continue
		}
		ran = true
		if err := c.run(ctx, version); err != nil {
			fmt.Fprintf(os.Stderr, "compat: %s %s: %v\n", c.program.Name, version, err)
			stop()
			os.Exit(1)
		}
	}
	if !ran {
		fmt.Fprintln(os.Stderr, "compat: name a release, for example -kube-apiserver 1.31")
		stop()
		os.Exit(2)
	}
}

// run runs the tests with a release, and writes the page if they pass.
func (c *component) run(ctx context.Context, version string) error {
	release, err := binaries.Release(ctx, version)
	if err != nil {
		return err
	}
	if err := os.Setenv(c.program.VersionVariable, release); err != nil {
		return err
	}
	if _, err := binaries.Path(ctx, os.Stdout, c.program); err != nil {
		return err
	}
	var all counts
	for _, t := range c.tests {
		if err := t.run(ctx, &all); err != nil {
			return err
		}
	}
	return writePage(row{
		component: c.program.Name, release: release, tests: c.names(), counts: all, date: time.Now().UTC(),
		command: "make compat " + c.variable + "=" + minor(release),
	})
}

// names returns the names of the tests.
func (c *component) names() []string {
	var all []string
	for _, t := range c.tests {
		all = append(all, t.names...)
	}
	return all
}

// run runs the tests, counts them, and prints those that fail.
func (t *tests) run(ctx context.Context, all *counts) error {
	fmt.Printf("%s: %s\n", t.pkg, strings.Join(t.names, ", "))
	cmd := exec.CommandContext(ctx, "go", "test", "-json", "-count=1", "-timeout=60m",
		"-run=^("+strings.Join(t.names, "|")+")$", t.pkg)
	cmd.Stderr = os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	passed, err := readEvents(out, all, os.Stdout)
	if err = errors.Join(err, cmd.Wait()); err != nil {
		return err
	}
	for _, name := range t.names {
		if !slices.Contains(passed, name) {
			return fmt.Errorf("%s: %s did not run", t.pkg, name)
		}
	}
	return nil
}
