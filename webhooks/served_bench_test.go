// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package webhooks_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/denial"
	"noderestriction.plus/internal/manifest"
	"noderestriction.plus/internal/reviewload"
	"noderestriction.plus/internal/server"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
	"noderestriction.plus/webhooks"
)

// servedKind is the environment variable that makes the test program one of the two webhooks that BenchmarkServed compares.
const servedKind = "NRP_BENCHMARK_SERVE"

// The webhooks.
const (
	servedNoop    = "noop"    // reads the body and echoes the UID
	servedProduct = "product" // this program's listener and handlers
)

func TestMain(m *testing.M) {
	if kind := os.Getenv(servedKind); kind != "" {
		if err := serveForBenchmark(kind); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	m.Run()
}

// BenchmarkServed is the CPU time that a webhook needs for a review over HTTP and TLS, kernel included, and how many times that of a
// webhook that evaluates nothing. Each iteration sends one review to each of the two webhooks, so that other load on the machine affects
// both alike.
func BenchmarkServed(b *testing.B) {
	webhooks := map[string]*servedWebhook{}
	for _, kind := range []string{servedNoop, servedProduct} {
		webhooks[kind] = startServed(b, kind)
	}
	for _, load := range []struct {
		name string
		make func(nodeName string) ([]byte, error)
	}{{"nodes", reviewload.NodeStatus}, {"pods", reviewload.PodStatus}} {
		body, err := load.make("worker-1")
		if err != nil {
			b.Fatal(err)
		}
		for _, clients := range []int{1, 8} {
			b.Run(fmt.Sprintf("%s/clients=%d", load.name, clients), func(b *testing.B) {
				before := map[string]usage{}
				sendServed(b, webhooks, body, clients, 200)
				for kind, w := range webhooks {
					before[kind] = w.usage(b)
				}
				b.ResetTimer()
				sendServed(b, webhooks, body, clients, b.N)
				b.StopTimer()
				used := map[string]usage{}
				for kind, w := range webhooks {
					used[kind] = w.usage(b).since(before[kind], b.N)
				}
				b.ReportMetric(used[servedProduct].CPU/used[servedNoop].CPU, "×noop")
				for kind, u := range used {
					b.ReportMetric(u.CPU, kind+"-cpu-ns/op")
					b.ReportMetric(u.Allocations, kind+"-allocs/op")
					b.ReportMetric(u.Bytes, kind+"-B/op")
				}
			})
		}
	}
}

// sendServed sends so many reviews to each webhook, by turns.
func sendServed(b *testing.B, webhooks map[string]*servedWebhook, body []byte, clients, reviews int) {
	b.Helper()
	var begun atomic.Int64
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			for begun.Add(1) <= int64(reviews) {
				for _, kind := range []string{servedNoop, servedProduct} {
					if err := webhooks[kind].send(b.Context(), body); err != nil {
						b.Error(err)
						return
					}
				}
			}
		})
	}
	group.Wait()
}

// usage is what a webhook has used, or uses for a review.
type usage struct {
	CPU         float64 `json:"cpu"` // in nanoseconds
	Allocations float64 `json:"allocations"`
	Bytes       float64 `json:"bytes"`
}

func (u usage) since(before usage, reviews int) usage {
	n := float64(reviews)
	return usage{(u.CPU - before.CPU) / n, (u.Allocations - before.Allocations) / n, (u.Bytes - before.Bytes) / n}
}

// servedWebhook is a webhook in a process of its own.
type servedWebhook struct {
	url    string
	client *http.Client
	ask    io.Writer // a line asks for the usage
	told   *bufio.Scanner
}

// startServed starts a webhook. It ends with its standard input.
func startServed(b *testing.B, kind string) *servedWebhook {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.CommandContext(context.WithoutCancel(b.Context()), self) // it ends with its standard input
	cmd.Env = append(os.Environ(), servedKind+"="+kind)
	cmd.Stderr = os.Stderr
	ask, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	told, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = ask.Close()
		if err := cmd.Wait(); err != nil {
			b.Errorf("%s: %v", kind, err)
		}
	})
	w := &servedWebhook{ask: ask, told: bufio.NewScanner(told)}
	var s served
	w.read(b, &s)
	roots := x509.NewCertPool()
	certificate, err := x509.ParseCertificate(s.Certificate)
	if err != nil {
		b.Fatal(err)
	}
	roots.AddCert(certificate)
	w.url = "https://" + s.Address + "/admit?timeout=10s"
	w.client = &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots}, MaxIdleConnsPerHost: 100,
	}}
	b.Cleanup(w.client.CloseIdleConnections)
	return w
}

// read reads a line of the webhook.
func (w *servedWebhook) read(b *testing.B, into any) {
	b.Helper()
	if !w.told.Scan() {
		b.Fatalf("the webhook is gone: %v", w.told.Err())
	}
	if err := json.Unmarshal(w.told.Bytes(), into); err != nil {
		b.Fatal(err)
	}
}

func (w *servedWebhook) usage(b *testing.B) (u usage) {
	b.Helper()
	if _, err := io.WriteString(w.ask, "\n"); err != nil {
		b.Fatal(err)
	}
	w.read(b, &u)
	return u
}

// send sends a review, which must be allowed.
func (w *servedWebhook) send(ctx context.Context, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := w.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK || !bytes.Contains(answer, []byte(`"allowed":true`)) {
		return fmt.Errorf("%s: %s", response.Status, answer)
	}
	return nil
}

// served is the first line of a webhook.
type served struct {
	Address     string `json:"address"`
	Certificate []byte `json:"certificate"`
}

// serveForBenchmark serves a webhook on a free port of loopback. It writes a line with its address, and one with what it has used for
// each line of its standard input, and returns at the end of that.
func serveForBenchmark(kind string) error {
	certificate, err := newServedCertificate()
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	address, err := map[string]func(context.Context, *servedCertificate) (net.Addr, error){
		servedNoop: serveNoop, servedProduct: serveProduct,
	}[kind](ctx, certificate)
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(served{address.String(), certificate.Certificate.Certificate[0]}); err != nil {
		return err
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		used, err := ownUsage()
		if err != nil {
			return err
		}
		if err := out.Encode(used); err != nil {
			return err
		}
	}
	return nil
}

// ownUsage is what this process has used.
func ownUsage() (usage, error) {
	var cpu syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &cpu); err != nil {
		return usage{}, err
	}
	samples := []metrics.Sample{{Name: "/gc/heap/allocs:objects"}, {Name: "/gc/heap/allocs:bytes"}}
	runtime.GC() // what is counted is exact after a collection
	metrics.Read(samples)
	return usage{
		float64(cpu.Utime.Nano() + cpu.Stime.Nano()), float64(samples[0].Value.Uint64()), float64(samples[1].Value.Uint64()),
	}, nil
}

func serveNoop(ctx context.Context, certificate *servedCertificate) (net.Addr, error) {
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}, GetCertificate: certificate.GetCertificate,
	})
	if err != nil {
		return nil, err
	}
	noop := &http.Server{Handler: http.HandlerFunc(echoUID), ReadHeaderTimeout: time.Minute}
	context.AfterFunc(ctx, func() { _ = noop.Close() })
	go func() { _ = noop.Serve(listener) }()
	return listener.Addr(), nil
}

// echoUID allows a review without decoding more than its UID.
func echoUID(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_, after, _ := bytes.Cut(body, []byte(`"uid":"`))
	uid, _, _ := bytes.Cut(after, []byte(`"`))
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":%q,"allowed":true}}`, uid)
}

// serveProduct serves the handlers as the program does, with strict.yaml and every condition allowed.
func serveProduct(ctx context.Context, certificate *servedCertificate) (net.Addr, error) {
	set, err := strictWithConditions()
	if err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	counts := denial.NewMetrics(registry, rules.All())
	recorder := denial.New(io.Discard, counts)
	evaluations := denial.NewEvaluations(nil, nil, logr.Discard())
	evaluations.Expect(set)
	srv, err := server.New(server.Options{
		Address: "127.0.0.1:0", Certificates: certificate,
		Handler: webhooks.Routes(
			webhooks.NewHandler(&store{set: set}, policy.StaticFacts{}, recorder, counts, evaluations, "v0.1.0", logr.Discard()),
			webhooks.NewPolicyHandler(rules.NewCompiler(), counts, logr.Discard())),
		Limits: server.DefaultLimits(32 << 20), Log: logr.Discard(), Registerer: registry,
	})
	if err != nil {
		return nil, err
	}
	if err := srv.Listen(ctx); err != nil {
		return nil, err
	}
	go func() { _ = srv.Run(ctx) }()
	return srv.Address(), nil
}

// strictWithConditions is strict.yaml, with the conditions of a problem detector that has the kubelet's credential.
func strictWithConditions() (*policy.Set, error) {
	data, err := os.ReadFile("../config/policies/strict.yaml")
	if err != nil {
		return nil, err
	}
	policies, err := manifest.Policies(data)
	if err != nil {
		return nil, err
	}
	policies[0].Spec.Nodes.Conditions.Allowed = []v1alpha1.Pattern{"*"}
	compiled, errs := rules.NewCompiler().Compile(policies[0])
	return policy.NewSet(compiled), errs.ToAggregate()
}

// servedCertificate is a certificate that is valid for an hour.
type servedCertificate struct{ tls.Certificate }

func newServedCertificate() (*servedCertificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IsCA: true, BasicConstraintsValid: true,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(raw)
	return &servedCertificate{tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key, Leaf: leaf}}, err
}

func (c *servedCertificate) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return &c.Certificate, nil
}
func (c *servedCertificate) Start(ctx context.Context) error { <-ctx.Done(); return nil }
func (c *servedCertificate) Check(*http.Request) error       { return nil }
func (c *servedCertificate) Expiry() time.Time               { return c.Leaf.NotAfter }
func (c *servedCertificate) RenewalErrors() uint64           { return 0 }
