// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/flowcontrol"

	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/doctor/checks"
	"noderestriction.plus/internal/program"
	"noderestriction.plus/internal/text"
)

const (
	// UserAgent is how the command names itself to the API server, before its version.
	UserAgent = program.Plugin + "-doctor"
	// requestTimeout bounds one request.
	requestTimeout = 30 * time.Second
	// maxAttempts is how often a request is sent at most.
	maxAttempts = 5
	// maxWait bounds the time between two attempts.
	maxWait = 5 * time.Second
	// maxAnswer bounds an answer, and maxRead all answers together, in bytes.
	maxAnswer, maxRead = 64 << 20, 1 << 30
	// pageSize is how many objects of a list are read at once, and maxObjects how many of a list at most.
	pageSize, maxObjects = 500, 50_000
	// maxText bounds what is kept of a text of the API server, in bytes.
	maxText  = 1024
	jsonType = "application/json"
)

// client sends requests as one user. Every request passes a [guard].
type client struct {
	base    *url.URL
	http    *http.Client
	limiter flowcontrol.RateLimiter
	read    *int64 // bytes of all answers, of all clients that share the limiter
}

func newClient(config *rest.Config, limiter flowcontrol.RateLimiter, read *int64) (*client, error) {
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, err
	}
	base.Path = strings.TrimRight(base.Path, "/")
	guarded := rest.CopyConfig(config)
	guarded.UserAgent = UserAgent + "/" + program.Version()
	guarded.Timeout = requestTimeout
	guarded.Wrap(func(next http.RoundTripper) http.RoundTripper { return &guard{base: base.Path, next: next} })
	c, err := rest.HTTPClientFor(guarded)
	if err != nil {
		return nil, err
	}
	return &client{base: base, limiter: limiter, read: read, http: &http.Client{
		Transport: c.Transport, Timeout: requestTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// send sends a request and returns the answer whatever its code. It sends it again if the server is busy.
func (c *client) send(ctx context.Context, method, path string, query url.Values, accept string, body any) (int, []byte, error) {
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return 0, nil, err
		}
	}
	for attempt := 1; ; attempt++ {
		if err := c.limiter.Wait(ctx); err != nil {
			return 0, nil, err
		}
		code, answer, wait, err := c.sendOnce(ctx, method, path, query, accept, data)
		busy := code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable
		if err != nil || attempt == maxAttempts || !busy || wait <= 0 {
			return code, answer, err
		}
		select {
		case <-ctx.Done():
			return 0, nil, ctx.Err()
		case <-time.After(min(wait, maxWait)):
		}
	}
}

func (c *client) sendOnce(
	ctx context.Context, method, path string, query url.Values, accept string, body []byte,
) (code int, answer []byte, wait time.Duration, err error) {
	target := *c.base
	target.Path += path
	target.RawQuery = query.Encode()
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	r, err := http.NewRequestWithContext(ctx, method, target.String(), reader)
	if err != nil {
		return 0, nil, 0, err
	}
	r.Header.Set("Accept", accept)
	if body != nil {
		r.Header.Set("Content-Type", jsonType)
	}
	response, err := c.http.Do(r)
	if err != nil {
		return 0, nil, 0, err
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	*c.read += int64(len(answer))
	switch {
	case err != nil:
	case len(answer) > maxAnswer:
		err = fmt.Errorf("the answer is larger than %d bytes", maxAnswer)
	case *c.read > maxRead:
		err = fmt.Errorf("all answers together are larger than %d bytes", maxRead)
	}
	if seconds, parse := strconv.Atoi(response.Header.Get("Retry-After")); parse == nil {
		wait = time.Duration(seconds) * time.Second
	}
	return response.StatusCode, answer, wait, err
}

// errNotFound says that an object or its kind does not exist.
var errNotFound = errors.New("not found")

// forbidden is an answer of 403.
type forbidden struct{ message string }

func (e forbidden) Error() string { return e.message }

// result reads the answer to a request.
func result(code int, answer []byte, err error) ([]byte, error) {
	switch {
	case err != nil:
		return nil, err
	case code == http.StatusNotFound:
		return nil, errNotFound
	case code == http.StatusForbidden:
		return nil, forbidden{refusal(code, answer)}
	case code >= http.StatusMultipleChoices:
		return nil, errors.New(refusal(code, answer))
	}
	return answer, nil
}

// refusal is what an answer says of an error, printable and bounded.
func refusal(code int, answer []byte) string {
	var s metav1.Status
	if json.Unmarshal(answer, &s) != nil || s.Message == "" {
		return fmt.Sprintf("HTTP status %d", code)
	}
	return text.Printable(text.Cut(s.Message, maxText))
}

func (c *client) get(ctx context.Context, path string, query url.Values) ([]byte, error) {
	return result(c.send(ctx, http.MethodGet, path, query, jsonType, nil))
}

// unknown says why a request has no answer.
func unknown(err error, rights ...authorization.Request) *checks.Unknown {
	if errors.As(err, &forbidden{}) {
		return &checks.Unknown{Rights: rights}
	}
	return &checks.Unknown{Why: text.Printable(text.Cut(rights[0].String()+": "+err.Error(), maxText))}
}

// pathOf returns the path of the resource of a request, in its version v1.
func pathOf(r *authorization.Request, version string) string {
	path := "/api/" + version
	if r.Group != "" {
		path = "/apis/" + r.Group + "/" + version
	}
	if r.Namespace != "" {
		path += "/namespaces/" + r.Namespace
	}
	path += "/" + r.Resource
	if r.Name != "" {
		path += "/" + r.Name
	}
	return path
}

// list reads all objects of a list, in pages. An API that does not exist has none.
func list[T any](ctx context.Context, c *client, r authorization.Request, version, accept string, query url.Values) checks.Fact[[]T] {
	var page struct {
		Metadata metav1.ListMeta `json:"metadata"`
		Items    []T             `json:"items"`
	}
	all := []T{}
	if query == nil {
		query = url.Values{}
	}
	query.Set("limit", strconv.Itoa(pageSize))
	for {
		answer, err := result(c.send(ctx, http.MethodGet, pathOf(&r, version), query, accept, nil))
		if errors.Is(err, errNotFound) {
			return checks.Fact[[]T]{Value: all}
		}
		if err == nil {
			page.Metadata, page.Items = metav1.ListMeta{}, nil
			err = json.Unmarshal(answer, &page)
		}
		if err != nil {
			return checks.Fact[[]T]{Unknown: unknown(err, r)}
		}
		all = append(all, page.Items...)
		switch {
		case page.Metadata.Continue == "":
			return checks.Fact[[]T]{Value: all}
		case len(all) >= maxObjects:
			return checks.Fact[[]T]{Unknown: &checks.Unknown{Why: fmt.Sprintf("there are more than %d %s", maxObjects, r.GroupResource())}}
		}
		query.Set("continue", page.Metadata.Continue)
	}
}
