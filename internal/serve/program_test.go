// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	certutil "k8s.io/client-go/util/cert"

	"noderestriction.plus/internal/program"
)

// serving is the program as a process, started with "serve".
type serving struct {
	cmd    *exec.Cmd
	stdout bytes.Buffer
	ca     *x509.CertPool
	ended  chan struct{} // closed when the process is

	mu  sync.Mutex
	log []map[string]any
}

// writeServeFiles writes what serve reads: a certificate, which is its own CA, and a kubeconfig.
func writeServeFiles(dir string) error {
	cert, key, err := certutil.GenerateSelfSignedCertKey("127.0.0.1", []net.IP{net.IPv4(127, 0, 0, 1)}, nil)
	if err != nil {
		return err
	}
	// Nobody listens on port 1.
	kubeconfig := `{"apiVersion": "v1", "kind": "Config", "current-context": "x",
		"clusters": [{"name": "x", "cluster": {"server": "https://127.0.0.1:1"}}],
		"contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}], "users": [{"name": "x", "user": {}}]}`
	conditions := `{"configuration": "a", "floor": "b", "webhooks": [
		{"name": "gate.noderestriction.plus", "matchConditions": [{"name": "line", "expression": "false"}]}]}`
	for name, content := range map[string][]byte{
		"tls.crt": cert, "tls.key": key, "kubeconfig": []byte(kubeconfig), "conditions.json": []byte(conditions),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// startServe runs serve with flags of a program whose API server is away, and the given ones.
func startServe(t *testing.T, flags ...string) *serving {
	t.Helper()
	dir := t.TempDir()
	if err := writeServeFiles(dir); err != nil {
		t.Fatal(err)
	}
	cert, err := os.ReadFile(filepath.Join(dir, "tls.crt"))
	if err != nil {
		t.Fatal(err)
	}
	s := &serving{ca: x509.NewCertPool(), ended: make(chan struct{})}
	s.ca.AppendCertsFromPEM(cert)
	s.cmd = exec.CommandContext(t.Context(), program.Name, append([]string{
		"serve", "--kubeconfig", filepath.Join(dir, "kubeconfig"), "--cert-dir", dir,
		"--bind-address", "127.0.0.1", "--port", "0", "--health-probe-bind-address", "127.0.0.1:0",
		"--metrics-bind-address", "127.0.0.1:0", "--shutdown-delay", "500ms",
	}, flags...)...)
	s.cmd.Stdout = &s.stdout
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.ended)
		s.read(stderr)
		_ = s.cmd.Wait() // its outcome is in ProcessState
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		<-s.ended
		if t.Failed() {
			for _, line := range s.log {
				t.Log(line)
			}
		}
	})
	return s
}

// wait waits for the end of the process.
func (s *serving) wait(t *testing.T) {
	t.Helper()
	select {
	case <-s.ended:
	case <-time.After(time.Minute):
		t.Fatal("the process did not end")
	}
}

func (s *serving) read(stderr io.Reader) {
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := map[string]any{}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			line["text"] = lines.Text()
		}
		s.mu.Lock()
		s.log = append(s.log, line)
		s.mu.Unlock()
	}
}

// await returns the first line of the log that has a field with the text.
func (s *serving) await(t *testing.T, field, text string) map[string]any {
	t.Helper()
	var found map[string]any
	eventually(t, fmt.Sprintf("a log line with %s %q", field, text), func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, line := range s.log {
			if strings.Contains(fmt.Sprint(line[field]), text) {
				found = line
				return true
			}
		}
		return false
	})
	return found
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("never came about: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// admit sends a kubelet's write and returns the status of the answer, 0 without one.
func (s *serving) admit(t *testing.T, address string) int {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.ca}, DisableKeepAlives: true}
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	response, err := client.Post("https://"+address+"/admit", "application/json", strings.NewReader(`{
		"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
		"uid": "1", "operation": "UPDATE", "name": "worker-1",
		"resource": {"group": "", "version": "v1", "resource": "nodes"},
		"userInfo": {"username": "system:node:worker-1", "groups": ["system:nodes"]},
		"object": {"metadata": {"name": "worker-1"}}, "oldObject": {"metadata": {"name": "worker-1"}}}}`))
	if err != nil {
		return 0
	}
	response.Body.Close()
	return response.StatusCode
}

func TestServeWithoutAnAPIServer(t *testing.T) {
	s := startServe(t)
	address := s.await(t, "msg", "Starting")["address"].(string)
	probes := fmt.Sprintf("http://%v", s.await(t, "name", "health probe")["addr"])
	if code, body := get(t, probes+"/livez"); code != http.StatusOK {
		t.Errorf("/livez: %d %s", code, body)
	}
	eventually(t, "the listener serves", func() bool {
		code, body := get(t, probes+"/readyz")
		return code == http.StatusInternalServerError && strings.Contains(body, "[+]listener ok")
	})
	_, body := get(t, probes+"/readyz")
	for _, want := range []string{"[-]policies failed", "[+]nodes ok", "[+]certificate ok", "[+]denial-log ok"} {
		if !strings.Contains(body, want) {
			t.Errorf("/readyz has no %q: %s", want, body)
		}
	}
	s.await(t, "reason", "the policies have not been read yet")
	if code := s.admit(t, address); code != http.StatusServiceUnavailable {
		t.Errorf("a kubelet's write was answered with %d before the policies are known", code)
	}

	told := time.Now()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "readiness fails", func() bool {
		_, body := get(t, probes+"/readyz")
		return strings.Contains(body, "[-]listener failed")
	})
	if code := s.admit(t, address); code != http.StatusServiceUnavailable {
		t.Errorf("during the shutdown delay a write was answered with %d", code)
	}
	s.wait(t)
	if took := time.Since(told); took < 500*time.Millisecond || took > 20*time.Second {
		t.Errorf("the end took %s", took)
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if s.stdout.Len() > 0 {
		t.Errorf("standard output is for records alone: %s", &s.stdout)
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	s := startServe(t, "--shutdown-delay", "5m")
	s.await(t, "name", "health probe")
	s.await(t, "msg", "Starting")
	if err := s.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	s.await(t, "msg", "Draining")
	eventually(t, "a second signal ends the process", func() bool {
		_ = s.cmd.Process.Signal(syscall.SIGINT) // an error means that it has ended
		select {
		case <-s.ended:
			return true
		default:
			return false
		}
	})
}

func TestServeExitCodes(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, taken, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(t.TempDir(), "missing")
	for _, test := range []struct {
		name  string
		flags []string
		code  int
		text  string
	}{
		{"an unknown flag is a usage error", []string{"--prot", "1"}, 2, "unknown flag: --prot"},
		{"an argument is a usage error", []string{"now"}, 2, "now"},
		{"a wrong value is a usage error", []string{"--port", "x"}, 2, "--port"},
		{"an impossible value is a usage error", []string{"--port", "-1"}, 2, "--port"},
		{"a missing kubeconfig cannot be read", []string{"--kubeconfig", missing}, 2, "--kubeconfig"},
		{"a missing certificate cannot be read", []string{"--cert-dir", missing}, 2, "--cert-dir"},
		{
			"a missing client CA cannot be read",
			[]string{"--client-ca-file", missing, "--client-allowed-names", "a"},
			2, "--client-ca-file",
		},
		{"an address in use is a failure", []string{"--port", taken}, 1, "address already in use"},
		{
			"an address in use for probes is a failure",
			[]string{"--health-probe-bind-address", "127.0.0.1:" + taken},
			1,
			"address already in use",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := startServe(t, test.flags...)
			s.wait(t)
			if code := s.cmd.ProcessState.ExitCode(); code != test.code {
				t.Errorf("exit code %d", code)
			}
			text := fmt.Sprint(s.await(t, "text", "node-restriction-plus: ")["text"])
			if !strings.Contains(text, test.text) {
				t.Errorf("error %q", text)
			}
			if s.stdout.Len() > 0 {
				t.Errorf("standard output: %s", &s.stdout)
			}
		})
	}
}
