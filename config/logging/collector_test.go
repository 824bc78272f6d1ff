// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package logging_test runs the OpenTelemetry Collector, with the components that otel-collector.yaml names, on logs as a kubelet keeps
// them.
package logging_test

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"github.com/open-telemetry/opentelemetry-collector-contrib/receiver/filelogreceiver"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/otlphttpexporter"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/service/telemetry"
)

const boot = "VS4Y6QCCJVL6V"

// TestTheCollectorKeepsEachRecord ships the log of a container that is rotated, also while the collector does not run, to a destination
// that refuses at first. Then the command denials verifies what arrived.
func TestTheCollectorKeepsEachRecord(t *testing.T) {
	dir := t.TempDir()
	destination := &destination{refusals: 2}
	server := httptest.NewServer(destination)
	t.Cleanup(server.Close)
	config := configure(t, dir, server.URL)
	pod := filepath.Join(dir, "pods", "node-restriction-plus_node-restriction-plus-5c8f-x2k4q_0a1b", "node-restriction-plus")
	check(t, os.MkdirAll(pod, 0o755))
	log := filepath.Join(pod, "0.log")

	stop := start(t, config)
	write(t, log, 1, 400)
	await(t, destination, 300)
	write(t, log, 401, 500)
	check(t, os.Rename(log, log+".20261130-120000"))
	write(t, log, 501, 700)
	await(t, destination, 600)
	stop()
	write(t, log, 701, 900)
	check(t, os.Rename(log, log+".20261130-130000"))
	write(t, log, 901, 1000)
	stop = start(t, config)
	await(t, destination, 1000)
	stop()

	shipped := filepath.Join(dir, "shipped.log")
	check(t, os.WriteFile(shipped, []byte(strings.Join(destination.lines, "\n")+"\n"), 0o600))
	cmd := exec.CommandContext(t.Context(), "go", "run", "./cmd/kubectl-nrp", "denials", "--verify", shipped)
	cmd.Dir = "../.."
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "complete: 1,000 records") && !strings.Contains(string(out), "1-1000") {
		t.Errorf("%v: %s", err, out)
	}
	for i, line := range destination.lines {
		if strings.Contains(line, `"seq":`) != (destination.attributes[i] != "") || destination.attributes[i] != "" &&
			!strings.Contains(line, destination.attributes[i]) {
			t.Fatalf("the attributes %q are not those of %s", destination.attributes[i], line)
		}
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// configure returns the path of the configuration with other paths and another destination.
func configure(t *testing.T, dir, url string) string {
	t.Helper()
	data, err := os.ReadFile("otel-collector.yaml")
	check(t, err)
	text := string(data)
	for old, with := range map[string]string{
		"/var/log/pods/": filepath.Join(dir, "pods") + "/", "/var/lib/otelcol": filepath.Join(dir, "state"), "https://logs.example.com:4318": url,
	} {
		if !strings.Contains(text, old) {
			t.Fatalf("%s is not in the configuration", old)
		}
		text = strings.ReplaceAll(text, old, with)
	}
	path := filepath.Join(dir, "config.yaml")
	check(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// start runs a collector until stop is called.
func start(t *testing.T, config string) (stop func()) {
	t.Helper()
	c, err := otelcol.NewCollector(otelcol.CollectorSettings{
		BuildInfo: component.NewDefaultBuildInfo(), DisableGracefulShutdown: true, Factories: factories,
		ConfigProviderSettings: otelcol.ConfigProviderSettings{ResolverSettings: confmap.ResolverSettings{
			URIs: []string{"file:" + config}, ProviderFactories: []confmap.ProviderFactory{fileprovider.NewFactory()},
		}},
	})
	check(t, err)
	done := make(chan error, 1)
	go func() { done <- c.Run(context.WithoutCancel(t.Context())) }()
	return sync.OnceFunc(func() {
		c.Shutdown()
		check(t, <-done)
	})
}

func factories() (otelcol.Factories, error) {
	f := otelcol.Factories{Telemetry: telemetry.NewFactory(func() component.Config { return &struct{}{} })}
	var err error
	if f.Receivers, err = otelcol.MakeFactoryMap[receiver.Factory](filelogreceiver.NewFactory()); err != nil {
		return f, err
	}
	if f.Exporters, err = otelcol.MakeFactoryMap[exporter.Factory](otlphttpexporter.NewFactory()); err != nil {
		return f, err
	}
	f.Extensions, err = otelcol.MakeFactoryMap[extension.Factory](filestorage.NewFactory())
	return f, err
}

// write appends records to a log, as containerd writes it, and after each ten a line of the webhook that is no record.
func write(t *testing.T, path string, from, to int) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	check(t, err)
	for seq := from; seq <= to; seq++ {
		lines := []string{fmt.Sprintf(`{"ts":"2026-11-30T12:00:00.000Z","level":"info","logger":"denial","msg":"denied","boot":%q,"seq":%d,`+
			`"uid":"u-%d","node":"worker-1","user":"system:node:worker-1","operation":"UPDATE","resource":"nodes","subresource":"status",`+
			`"namespace":"","name":"worker-1","dryRun":false,"clientAuth":"mtls","violations":[{"policy":"recommended","generation":3,`+
			`"rule":"node-finalizers","field":"metadata.finalizers","reason":"node finalizers","detail":"must not add \"\\\"boot\\\" %d ü\"",`+
			`"action":"Deny"}],"version":"v0.1.0","fingerprint":"f1"}`, boot, seq, seq, seq)}
		if seq%10 == 0 {
			lines = append(lines, `{"ts":"2026-11-30T12:00:00.000Z","level":"info","logger":"serve","msg":"Read the policies"}`)
		}
		for _, line := range lines {
			_, err := fmt.Fprintf(file, "2026-11-30T12:00:00.123456789Z stdout F %s\n", line)
			check(t, err)
		}
	}
	check(t, file.Close())
}

// destination receives logs by OTLP.
type destination struct {
	mu         sync.Mutex
	refusals   int // this many requests are refused
	lines      []string
	attributes []string // of each line: boot and seq as the line has them, or nothing
	faults     []error
	records    int
}

func (d *destination) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.refusals > 0 {
		d.refusals--
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if err := d.receive(r); err != nil {
		d.faults = append(d.faults, err)
		w.WriteHeader(http.StatusBadRequest)
	}
}

func (d *destination) receive(r *http.Request) error {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(r.Body)
		if err != nil {
			return err
		}
		body = unpacked
	}
	data, err := io.ReadAll(io.LimitReader(body, 64<<20))
	if err != nil {
		return err
	}
	request := plogotlp.NewExportRequest()
	if err := request.UnmarshalProto(data); err != nil {
		return err
	}
	for _, resource := range request.Logs().ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				d.lines = append(d.lines, record.Body().Str())
				boot, _ := record.Attributes().Get("boot")
				seq, found := record.Attributes().Get("seq")
				attributes := ""
				if found {
					attributes = fmt.Sprintf(`"boot":%q,"seq":%s,`, boot.Str(), seq.Str())
					d.records++
				}
				d.attributes = append(d.attributes, attributes)
			}
		}
	}
	return nil
}

// await waits until so many records have arrived.
func await(t *testing.T, d *destination, records int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for {
		d.mu.Lock()
		arrived, faults := d.records, d.faults
		d.mu.Unlock()
		if len(faults) > 0 {
			t.Fatal(faults)
		}
		if arrived >= records {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%d of %d records have arrived", arrived, records)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
