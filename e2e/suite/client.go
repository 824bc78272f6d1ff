// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"noderestriction.plus/e2e/controlplane"
)

// Outcome is the result of a request.
type Outcome string

// The outcomes.
const (
	Allowed    Outcome = "allowed"
	Denied     Outcome = "denied by the product"
	Floor      Outcome = "denied by the floor"
	Unanswered Outcome = "refused because the product did not answer" // if the chart has failurePolicy Fail
	Exists     Outcome = "passed, but the object exists"
	Refused    Outcome = "refused by the API server itself"
	NoAnswer   Outcome = "not answered by the API server"
)

// Request is a request to an API server as it goes over the wire.
type Request struct {
	Method, Path string
	Query        string // encoded
	Type         string // media type of the body; empty: none
	Body         string
	DryRun       bool
}

// Answer is the answer to a request.
type Answer struct {
	Request  Request
	Outcome  Outcome
	Code     int
	Reason   metav1.StatusReason // of an error
	Text     string              // message of an error
	Body     []byte
	Warnings []string
	Sent     time.Time
	Took     time.Duration
}

func (a Answer) String() string {
	return fmt.Sprintf("%s (%d %s, %s): %s", a.Outcome, a.Code, a.Reason, a.Took.Round(time.Millisecond), a.Text)
}

// DeniedBy returns the webhook that denied the request and its message, or two empty strings.
func (a Answer) DeniedBy() (webhook, message string) {
	text := strings.TrimPrefix(a.Text, `admission webhook "`)
	webhook, message, found := strings.Cut(text, `" denied the request: `)
	if !found {
		return "", ""
	}
	return webhook, message
}

// Client sends requests to one API server with one credential.
type Client struct {
	host string
	http *http.Client
}

// NewClient returns a client for a connection.
func NewClient(config *rest.Config) (*Client, error) {
	client, err := rest.HTTPClientFor(config)
	return &Client{host: config.Host, http: client}, err
}

// NewKubelet returns a client with the credential of a node's kubelet.
func NewKubelet(server *controlplane.APIServer, node string) (*Client, error) {
	config, err := server.Kubelet(node)
	if err != nil {
		return nil, err
	}
	return NewClient(config)
}

// NewAdmin returns a client with the credential of an administrator.
func NewAdmin(server *controlplane.APIServer) (*Client, error) {
	config, err := server.Admin()
	if err != nil {
		return nil, err
	}
	return NewClient(config)
}

// Kubelet is [NewKubelet] for a test.
func Kubelet(t testing.TB, server *controlplane.APIServer, node string) *Client {
	t.Helper()
	c, err := NewKubelet(server, node)
	Check(t, err)
	return c
}

// Admin is [NewAdmin] for a test.
func Admin(t testing.TB, server *controlplane.APIServer) *Client {
	t.Helper()
	c, err := NewAdmin(server)
	Check(t, err)
	return c
}

// Do sends a request. If there is no answer, the outcome is NoAnswer and the text is the error.
func (c *Client) Do(ctx context.Context, r Request) Answer {
	a, err := c.send(ctx, r)
	if err != nil {
		a.Outcome, a.Text = NoAnswer, err.Error()
	}
	return a
}

// Send is [Client.Do] for a test, which it ends if there is no answer.
func (c *Client) Send(t testing.TB, r Request) Answer {
	t.Helper()
	a, err := c.send(t.Context(), r)
	Check(t, err)
	return a
}

// MustSend sends a request that must succeed and returns the body of the answer.
func (c *Client) MustSend(t testing.TB, r Request) []byte {
	t.Helper()
	a := c.Send(t, r)
	if a.Outcome != Allowed {
		t.Fatalf("%s %s: %.1000s\n%.1000s", r.Method, r.Path, a, r.Body)
	}
	return a.Body
}

// Get reads what is at a path as JSON.
func (c *Client) Get(ctx context.Context, path string) (code int, body []byte, err error) {
	a, err := c.send(ctx, Request{Method: http.MethodGet, Path: path})
	return a.Code, a.Body, err
}

func (c *Client) send(ctx context.Context, r Request) (a Answer, err error) {
	a = Answer{Request: r, Sent: time.Now()}
	defer func() { a.Took = time.Since(a.Sent) }()
	request, err := http.NewRequestWithContext(ctx, r.Method, c.host+r.target(), strings.NewReader(r.Body))
	if err != nil {
		return a, err
	}
	request.Header.Set("Accept", JSONType)
	if r.Type != "" {
		request.Header.Set("Content-Type", r.Type)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return a, err
	}
	defer response.Body.Close()
	a.Code, a.Warnings = response.StatusCode, response.Header.Values("Warning")
	if a.Body, err = io.ReadAll(response.Body); err != nil {
		return a, err
	}
	a.Outcome = Allowed
	if a.Code >= http.StatusBadRequest {
		a.refuse()
	}
	return a, nil
}

// target is the path with the query.
func (r *Request) target() string {
	var query []string
	if r.Query != "" {
		query = append(query, r.Query)
	}
	if r.DryRun {
		query = append(query, url.Values{"dryRun": {metav1.DryRunAll}}.Encode())
	}
	if len(query) == 0 {
		return r.Path
	}
	return r.Path + "?" + strings.Join(query, "&")
}

// refuse sets what the body says of an error. It may be no Status.
func (a *Answer) refuse() {
	var status metav1.Status
	a.Text = string(bytes.TrimSpace(a.Body))
	if json.Unmarshal(a.Body, &status) == nil && status.Message != "" {
		a.Reason, a.Text = status.Reason, status.Message
	}
	switch {
	case a.Reason == metav1.StatusReasonAlreadyExists:
		a.Outcome = Exists
	case a.Code == http.StatusForbidden && strings.Contains(a.Text, `.noderestriction.plus" denied the request: `):
		a.Outcome = Denied
	case a.Code == http.StatusForbidden && strings.Contains(a.Text, "ValidatingAdmissionPolicy"):
		a.Outcome = Floor
	case strings.Contains(a.Text, "failed calling webhook"):
		a.Outcome = Unanswered
	default:
		a.Outcome = Refused
	}
}

// Summary counts answers by outcome and says how long they took.
func Summary(answers []Answer) string {
	outcomes := map[Outcome]int{}
	var took []time.Duration
	for _, a := range answers {
		outcomes[a.Outcome]++
		took = append(took, a.Took)
	}
	if len(took) == 0 {
		return "no writes"
	}
	slices.Sort(took)
	at := func(percent int) time.Duration { return took[(len(took)-1)*percent/100].Round(time.Millisecond) }
	return fmt.Sprintf("%d writes %v, p50 %s, p99 %s, slowest %s", len(answers), outcomes, at(50), at(99), at(100))
}
