// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"noderestriction.plus/e2e/product"
	"noderestriction.plus/internal/attack"
)

// report compares the outcomes and shows the record and the counts. It fails if an attempt was not allowed without the product, or not
// denied with it.
func (d *demo) report(ctx context.Context, without, with []outcome) error {
	denied, err := d.records()
	if err != nil {
		return err
	}
	d.screen.title("In short")
	table := tabwriter.NewWriter(d.screen, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "  with the kubelet's credential\tstock Kubernetes\twith NodeRestriction-plus")
	for i, o := range with {
		if without[i].refusal != nil || o.refusal == nil {
			return fmt.Errorf("%s: want it allowed without and denied with the product", o.attempt.what)
		}
		if !slices.ContainsFunc(denied, o.attempt.isRecordedIn) {
			return fmt.Errorf("%s: no record by %s", o.attempt.what, o.attempt.rule)
		}
		fmt.Fprintf(table, "  %s\tallowed\tdenied by %s\n", o.attempt.what, o.attempt.rule)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if err := d.showRecord(denied[0]); err != nil {
		return err
	}
	if err := d.showCounts(ctx, len(denied)); err != nil {
		return err
	}
	if err := d.catalogue(ctx); err != nil {
		return err
	}
	d.screen.title("Look further")
	d.screen.line("make demo KEEP=1                            leaves everything running")
	d.screen.line("kubectl explain nrp.spec.nodes.labels       what a policy can say")
	d.screen.line("bin/kubectl-nrp attack --as-node worker-1   each attack, and who stops it           (with KEEP=1, make build)")
	d.screen.line("bin/kubectl-nrp explain node-labels         why, and what a kubelet writes   (make build)")
	d.screen.line("README.md, docs/rules.md                    how to install it; all rules")
	return nil
}

// catalogue tries all attacks that are known, as dry runs. It fails if one that the policy forbids was not stopped.
func (d *demo) catalogue(ctx context.Context) error {
	d.screen.title("The whole catalogue of attacks, as dry runs: kubectl nrp attack --as-node %s", nodeName)
	config, err := d.ControlPlane.Admin()
	if err != nil {
		return err
	}
	result, err := attack.Run(ctx, config, attack.Options{AsNode: nodeName})
	if err != nil {
		return err
	}
	for _, sentence := range result.Summary() {
		d.screen.line("%s", sentence)
	}
	return result.Err()
}

// records returns the records of the attacker's denials.
func (d *demo) records() ([]product.Line, error) {
	lines, err := d.product.Records.Since(0)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(lines), func(l product.Line) bool { return l.Node != nodeName }), nil
}

func (d *demo) showRecord(line product.Line) error {
	d.screen.title("The record of the first denial: one JSON line on standard output, formatted here")
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, []byte(line.Text), "  ", "  "); err != nil {
		return err
	}
	d.screen.line("%s", pretty.String())
	return nil
}

// showCounts shows the output of kubectl after the product has written the status of the policy, which it does every 10 seconds.
func (d *demo) showCounts(ctx context.Context, want int) error {
	d.screen.title("The counts: %d records, and the policy's own", want)
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := d.product.Process().Await(ctx, func(ctx context.Context) error {
		total, err := d.Kubectl.Run(ctx, nil, "get", "nrp", "recommended", "--output=jsonpath={.status.violations.denied.total}")
		if err == nil && total != fmt.Sprint(want) {
			err = fmt.Errorf("the policy counts %q denials, want %d", total, want)
		}
		return err
	}); err != nil {
		return err
	}
	out, err := d.Kubectl.Run(ctx, nil, "get", "nrp")
	if err != nil {
		return err
	}
	d.screen.line("kubectl get nrp\n  %s", strings.ReplaceAll(strings.TrimSpace(out), "\n", "\n  "))
	return nil
}

// screen prints for a person. Colours are used only on a terminal.
type screen struct {
	out    io.Writer
	start  time.Time
	colour bool
}

func newScreen(out *os.File) *screen {
	return &screen{out: out, start: time.Now(), colour: term.IsTerminal(int(out.Fd())) && os.Getenv("NO_COLOR") == ""}
}

// Write implements io.Writer, for progress.
func (s *screen) Write(p []byte) (int, error) { return s.out.Write(p) }

func (s *screen) paint(code, text string) string {
	if !s.colour {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// title starts a section, with the time since the start.
func (s *screen) title(format string, args ...any) {
	text := s.paint("1", fmt.Sprintf(format, args...))
	fmt.Fprintf(s.out, "\n[%3.0f s] %s\n", time.Since(s.start).Seconds(), text)
}

func (s *screen) line(format string, args ...any) {
	fmt.Fprintf(s.out, "  "+format+"\n", args...)
}

// outcome shows an attempt and what the API server answered.
func (s *screen) outcome(o outcome) {
	s.line("%s", o.attempt.what)
	s.line("  %s", s.paint("2", fmt.Sprintf("%s %s  %s", o.attempt.method, o.attempt.path, o.attempt.shown)))
	code := fmt.Sprintf("%d %s", o.code, http.StatusText(o.code))
	if o.refusal == nil {
		s.line("  %s", s.paint("31", code))
		return
	}
	s.line("  %s: %s", s.paint("32", code), o.refusal)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}
