// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package access asks an API server who may do what: by access reviews, which all its authorizers answer, and by reading RBAC. It
// writes nothing: a guard on the connection lets only reads and reviews pass, and the dry run of [Client.DryRunNode].
package access

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/rest"

	"golang.org/x/time/rate"

	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/guarded"
	"noderestriction.plus/internal/text"
)

const (
	// requestTimeout bounds one request.
	requestTimeout = 30 * time.Second
	// maxAttempts is how often a request is sent at most, while the API server says that it is busy.
	maxAttempts = 4
	// maxRetryAfter bounds how long the API server can make the client wait for the next attempt.
	maxRetryAfter = 10 * time.Second
	// maxReview bounds the answer to a review, and maxPage one page of a list, in bytes.
	maxReview = 8 << 20
	maxPage   = 64 << 20
	// pageSize is how many objects a page has, and maxObjects how many a list may have.
	pageSize   = 500
	maxObjects = 200_000
	// maxText bounds what is kept of a reason or a message, in bytes.
	maxText = 1024

	jsonType = "application/json"
)

// Client asks an API server as one user. It can be used by several goroutines.
type Client struct {
	base    *url.URL
	http    *http.Client
	limiter *rate.Limiter
	connect func() (*url.URL, *http.Client, error)
}

// New returns a client that sends at most qps requests a second. The command is the second part of its user agent.
func New(config *rest.Config, command string, qps float64) (*Client, error) {
	c := &Client{
		limiter: rate.NewLimiter(rate.Limit(qps), max(1, int(qps))),
		connect: func() (*url.URL, *http.Client, error) {
			return guarded.Connect(config, command, requestTimeout, func(base string, next http.RoundTripper) http.RoundTripper {
				return &guard{base: base, next: next}
			})
		},
	}
	return c.Another()
}

// Another returns a client that is like this one and shares its rate, on connections of its own, which a load balancer may take to
// another API server.
func (c *Client) Another() (*Client, error) {
	base, client, err := c.connect()
	if err != nil {
		return nil, err
	}
	return &Client{base: base, http: client, limiter: c.limiter, connect: c.connect}, nil
}

// Rate returns how many requests a second the client sends at most.
func (c *Client) Rate() float64 { return float64(c.limiter.Limit()) }

// Server returns the URL of the API server, without a password.
func (c *Client) Server() string { return c.base.Redacted() }

// guard refuses every request that could write something, before it leaves the program.
type guard struct {
	base string
	next http.RoundTripper
}

// reviewPaths are the paths to which a POST stores nothing.
func reviewPaths() []string {
	return []string{
		"/apis/authentication.k8s.io/v1/selfsubjectreviews", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
		"/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", "/apis/authorization.k8s.io/v1/subjectaccessreviews",
	}
}

// RoundTrip implements [http.RoundTripper].
func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	path, below := strings.CutPrefix(r.URL.Path, g.base)
	if !below || r.Method != http.MethodGet && (r.Method != http.MethodPost || !slices.Contains(reviewPaths(), path)) && !isDryRun(r, path) {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, fmt.Errorf("this request is never sent: %s %q", r.Method, r.URL.Path)
	}
	return g.next.RoundTrip(r)
}

// ForbiddenError says that the user lacks a permission.
type ForbiddenError struct {
	Verb, Resource string // what is lacking, such as list and roles.rbac.authorization.k8s.io
	Message        string // of the API server, printable and bounded
}

func (e *ForbiddenError) Error() string {
	return fmt.Sprintf("the user may not %s %s: %s", e.Verb, e.Resource, e.Message)
}

// ErrNotFound says that an object or its kind does not exist.
var ErrNotFound = errors.New("not found")

// send sends a request and returns the body of a successful answer.
func (c *Client) send(ctx context.Context, verb, resource, path string, query url.Values, body any, limit int64) ([]byte, error) {
	return c.sendAs(ctx, jsonType, verb, resource, path, query, body, limit)
}

// sendAs is send with another media type for the answer.
func (c *Client) sendAs(
	ctx context.Context, accept, verb, resource, path string, query url.Values, body any, limit int64,
) ([]byte, error) {
	target := *c.base
	target.Path += path
	target.RawQuery = query.Encode()
	method, data := http.MethodGet, []byte(nil)
	if body != nil {
		var err error
		method = http.MethodPost
		if data, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	for attempt := 1; ; attempt++ {
		if err := c.limiter.Wait(ctx); err != nil {
			return nil, err
		}
		code, after, answer, err := c.sendOnce(ctx, accept, method, target.String(), data, limit)
		if err != nil {
			return nil, err
		}
		busy := code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable
		switch {
		case code == http.StatusOK || code == http.StatusCreated:
			return answer, nil
		case code == http.StatusNotFound:
			return nil, ErrNotFound
		case code == http.StatusForbidden:
			return nil, &ForbiddenError{Verb: verb, Resource: resource, Message: message(code, answer)}
		case !busy || attempt == maxAttempts:
			return nil, fmt.Errorf("%s %s: %s", method, path, message(code, answer))
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(after):
		}
	}
}

func (c *Client) sendOnce(
	ctx context.Context, accept, method, target string, body []byte, limit int64,
) (code int, after time.Duration, answer []byte, err error) {
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	r, err := http.NewRequestWithContext(ctx, method, target, reader)
	if err != nil {
		return 0, 0, nil, err
	}
	r.Header.Set("Accept", accept)
	if body != nil {
		r.Header.Set("Content-Type", jsonType)
	}
	response, err := c.http.Do(r)
	if err != nil {
		return 0, 0, nil, err
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(response.Body, limit+1))
	if err == nil && int64(len(answer)) > limit {
		err = fmt.Errorf("the answer to %s is larger than %d bytes", method, limit)
	}
	after = time.Second
	if seconds, parseErr := strconv.Atoi(response.Header.Get("Retry-After")); parseErr == nil && seconds > 0 {
		after = min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	return response.StatusCode, after, answer, err
}

// message is what an answer says of an error, printable and bounded.
func message(code int, answer []byte) string {
	var s metav1.Status
	if json.Unmarshal(answer, &s) != nil || s.Message == "" {
		return fmt.Sprintf("HTTP status %d", code)
	}
	return text.Printable(text.Cut(s.Message, maxText))
}

// Version returns the version of the API server, such as v1.37.2, and its minor release.
func (c *Client) Version(ctx context.Context) (name string, minor int, err error) {
	answer, err := c.send(ctx, "get", "/version", "/version", nil, nil, maxReview)
	if err != nil {
		return "", 0, err
	}
	var info version.Info
	if err := json.Unmarshal(answer, &info); err != nil {
		return "", 0, fmt.Errorf("/version: %w", err)
	}
	digits := strings.IndexFunc(info.Minor, func(r rune) bool { return r < '0' || r > '9' })
	if digits < 0 {
		digits = len(info.Minor)
	}
	if minor, err = strconv.Atoi(info.Minor[:digits]); err != nil || info.Major != "1" {
		return "", 0, fmt.Errorf("/version: the release %s.%s is not known", text.Quote(info.Major), text.Quote(info.Minor))
	}
	return text.Printable(text.Cut(info.GitVersion, maxText)), minor, nil
}

// WhoAmI asks the API server who the user is.
func (c *Client) WhoAmI(ctx context.Context) (authorization.Identity, error) {
	body := &authenticationv1.SelfSubjectReview{TypeMeta: typeMeta("authentication.k8s.io/v1", "SelfSubjectReview")}
	answer, err := c.send(ctx, "create", "selfsubjectreviews.authentication.k8s.io", reviewPaths()[0], nil, body, maxReview)
	if err != nil {
		return authorization.Identity{}, err
	}
	var review authenticationv1.SelfSubjectReview
	if err := json.Unmarshal(answer, &review); err != nil {
		return authorization.Identity{}, err
	}
	return authorization.Identity{User: review.Status.UserInfo.Username, Groups: review.Status.UserInfo.Groups}, nil
}

func typeMeta(apiVersion, kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: apiVersion, Kind: kind}
}

// Answer is what all authorizers of an API server together say. Its texts are bounded, but not escaped.
type Answer struct {
	Allowed bool
	Denied  bool   // by an authorizer that lets no other allow it
	Reason  string // of the authorizer that decided, if it gives one
	Error   string // of an authorizer that failed
}

// Review asks whether an identity may do what it requests. With no identity it asks about the user itself.
func (c *Client) Review(ctx context.Context, id *authorization.Identity, r *authorization.Request) (Answer, error) {
	var body any
	resource := "selfsubjectaccessreviews.authorization.k8s.io"
	path := reviewPaths()[1]
	if id == nil {
		body = &authorizationv1.SelfSubjectAccessReview{
			TypeMeta: typeMeta("authorization.k8s.io/v1", "SelfSubjectAccessReview"),
			Spec: authorizationv1.SelfSubjectAccessReviewSpec{
				ResourceAttributes: r.ResourceAttributes(), NonResourceAttributes: r.NonResourceAttributes(),
			},
		}
	} else {
		resource, path = "subjectaccessreviews.authorization.k8s.io", reviewPaths()[3]
		body = &authorizationv1.SubjectAccessReview{
			TypeMeta: typeMeta("authorization.k8s.io/v1", "SubjectAccessReview"),
			Spec: authorizationv1.SubjectAccessReviewSpec{
				User: id.User, Groups: id.Groups, ResourceAttributes: r.ResourceAttributes(), NonResourceAttributes: r.NonResourceAttributes(),
			},
		}
	}
	answer, err := c.send(ctx, "create", resource, path, nil, body, maxReview)
	if err != nil {
		return Answer{}, err
	}
	var review authorizationv1.SelfSubjectAccessReview // the status is the same
	if err := json.Unmarshal(answer, &review); err != nil {
		return Answer{}, err
	}
	s := &review.Status
	return Answer{
		Allowed: s.Allowed, Denied: s.Denied, Reason: text.Cut(s.Reason, 8*maxText), Error: text.Cut(s.EvaluationError, maxText),
	}, nil
}

// Rules returns the rules that RBAC gives the user itself in a namespace. Other authorizers do not list theirs.
func (c *Client) Rules(ctx context.Context, namespace string) (*authorizationv1.SubjectRulesReviewStatus, error) {
	body := &authorizationv1.SelfSubjectRulesReview{
		TypeMeta: typeMeta("authorization.k8s.io/v1", "SelfSubjectRulesReview"),
		Spec:     authorizationv1.SelfSubjectRulesReviewSpec{Namespace: namespace},
	}
	answer, err := c.send(ctx, "create", "selfsubjectrulesreviews.authorization.k8s.io", reviewPaths()[2], nil, body, maxPage)
	if err != nil {
		return nil, err
	}
	var review authorizationv1.SelfSubjectRulesReview
	err = json.Unmarshal(answer, &review)
	return &review.Status, err
}
