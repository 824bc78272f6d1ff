// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"noderestriction.plus/e2e/controlplane"
)

// Outcome is what became of a write.
type Outcome string

// The outcomes.
const (
	Allowed    Outcome = "allowed"
	Denied     Outcome = "denied by the product"
	Floor      Outcome = "denied by the floor"
	Unanswered Outcome = "refused for want of an answer" // of the product, where the chart has Fail
	Exists     Outcome = "passed, but there already"
	Refused    Outcome = "refused by the API server itself"
	NoAnswer   Outcome = "not answered by the API server"
)

// Answer is the answer to a write.
type Answer struct {
	Write   Write
	Outcome Outcome
	Code    int
	Text    string // of what was not allowed
	Sent    time.Time
	Took    time.Duration
}

func (a Answer) String() string {
	return fmt.Sprintf("%s (%d, %s): %s", a.Outcome, a.Code, a.Took.Round(time.Millisecond), a.Text)
}

// Write is a write as it goes over the wire.
type Write struct {
	Method, Path string
	Type         string // media type of the body
	Body         string
	DryRun       bool
}

// Writer writes with one credential.
type Writer struct {
	host   string
	client *http.Client
}

// NewWriter makes a writer with the credential of a kubelet, for one of the API servers.
func NewWriter(s *controlplane.APIServer, node string) (*Writer, error) {
	config, err := s.Kubelet(node)
	if err != nil {
		return nil, err
	}
	return newWriter(config)
}

func newWriter(config *rest.Config) (*Writer, error) {
	client, err := rest.HTTPClientFor(config)
	return &Writer{host: config.Host, client: client}, err
}

// Do sends a write.
func (w *Writer) Do(ctx context.Context, write Write) Answer {
	target := w.host + write.Path
	if write.DryRun {
		target += "?" + url.Values{"dryRun": {"All"}}.Encode()
	}
	a := Answer{Write: write, Sent: time.Now(), Outcome: NoAnswer}
	defer func() { a.Took = time.Since(a.Sent) }()
	request, err := http.NewRequestWithContext(ctx, write.Method, target, strings.NewReader(write.Body))
	if err != nil {
		a.Text = err.Error()
		return a
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Content-Type", write.Type)
	response, err := w.client.Do(request)
	if err != nil {
		a.Text = err.Error()
		return a
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		a.Text = err.Error()
		return a
	}
	a.Code, a.Took = response.StatusCode, time.Since(a.Sent)
	a.Outcome, a.Text = outcome(response.StatusCode, body)
	return a
}

// outcome reads the answer of an API server.
func outcome(code int, body []byte) (Outcome, string) {
	if code < http.StatusBadRequest {
		return Allowed, ""
	}
	var status metav1.Status
	text := string(bytes.TrimSpace(body))
	if json.Unmarshal(body, &status) == nil && status.Message != "" {
		text = status.Message
	}
	switch {
	case status.Reason == metav1.StatusReasonAlreadyExists:
		return Exists, text
	case code == http.StatusForbidden && strings.Contains(text, `.noderestriction.plus" denied the request: `):
		return Denied, text
	case code == http.StatusForbidden && strings.Contains(text, "ValidatingAdmissionPolicy"):
		return Floor, text
	case strings.Contains(text, "failed calling webhook"):
		return Unanswered, text
	}
	return Refused, text
}

// PatchStatus changes a Node by its status, with a merge patch.
func PatchStatus(node, body string) Write {
	return Write{
		Method: http.MethodPatch, Path: "/api/v1/nodes/" + node + "/status", Type: "application/merge-patch+json", Body: body,
	}
}

// AddsFinalizer is a write to a Node that no stock kubelet makes and the chart's policy denies.
func AddsFinalizer(node string) Write {
	return PatchStatus(node, `{"metadata":{"finalizers":["example.com/stay"]}}`)
}

// Beats is the heartbeat of a kubelet.
func Beats(node string, at time.Time) Write {
	const body = `{"status":{"conditions":[{"type":"Ready","status":"True","lastHeartbeatTime":%q}]}}`
	w := PatchStatus(node, fmt.Sprintf(body, at.UTC().Format(time.RFC3339)))
	w.Type = "application/strategic-merge-patch+json"
	return w
}

// Registers creates a Node with these labels.
func Registers(node string, labels map[string]string) Write {
	body, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Node", "metadata": map[string]any{"name": node, "labels": labels},
	})
	if err != nil {
		panic(err) // strings can be encoded
	}
	return Write{Method: http.MethodPost, Path: "/api/v1/nodes", Type: "application/json", Body: string(body)}
}

const leasesPath = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"

// CreatesLease creates the lease of a kubelet.
func CreatesLease(node string) Write {
	return Write{
		Method: http.MethodPost, Path: leasesPath, Type: "application/json",
		Body: fmt.Sprintf(`{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":%q}}`, node),
	}
}

// RenewsLease renews the lease of a kubelet.
func RenewsLease(node string, at time.Time) Write {
	return Write{
		Method: http.MethodPatch, Path: leasesPath + "/" + node, Type: "application/merge-patch+json",
		Body: fmt.Sprintf(`{"spec":{"renewTime":%q}}`, at.UTC().Format("2006-01-02T15:04:05.000000Z")),
	}
}

// NewAdmin makes a writer with the credential of an administrator, for one of the API servers.
func NewAdmin(s *controlplane.APIServer) (*Writer, error) {
	config, err := s.Admin()
	if err != nil {
		return nil, err
	}
	return newWriter(config)
}

// Get reads what is at a path, as it is sent.
func (w *Writer) Get(ctx context.Context, path string) (code int, body []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.host+path, http.NoBody)
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Accept", "application/json")
	response, err := w.client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	return response.StatusCode, body, err
}
