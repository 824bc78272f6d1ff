// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package attack

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
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"noderestriction.plus/internal/guarded"
	"noderestriction.plus/internal/program"
	"noderestriction.plus/internal/review"
	"noderestriction.plus/internal/text"
)

const (
	// UserAgent is how the command names itself to the API server, before its version.
	UserAgent   = program.Plugin + "-" + commandName
	commandName = "attack"
	// requestTimeout bounds one request.
	requestTimeout = 30 * time.Second
	// maxAttempts is how often a request is sent at most.
	maxAttempts = 5
	// retryInterval is the time between two attempts.
	retryInterval = time.Second
	// maxAnswer bounds an answer, in bytes: 500 pods are much less.
	maxAnswer = 64 << 20
	// maxPods is how many pods of a node are read. A node has fewer.
	maxPods = "500"
)

// client sends requests as one user. Every request passes a [guard].
type client struct {
	base *url.URL
	http *http.Client
}

// newClient returns a client that sends the requests of a kubelet, or those of a node agent.
func newClient(config *rest.Config, agent bool) (*client, error) {
	base, c, err := guarded.Connect(config, commandName, requestTimeout, func(base string, next http.RoundTripper) http.RoundTripper {
		return &guard{base: base, next: next, agent: agent}
	})
	if err != nil {
		return nil, err
	}
	return &client{base: base, http: c}, nil
}

// send sends a request, as a dry run unless it reads, and returns the answer whatever its code.
func (c *client) send(
	ctx context.Context, method, path string, query url.Values, contentType string, body object,
) (code int, answer []byte, err error) {
	target := *c.base
	target.Path += path
	if method != http.MethodGet {
		if query == nil {
			query = url.Values{}
		}
		query.Set("dryRun", "All")
	}
	target.RawQuery = query.Encode()
	var data []byte
	if body != nil {
		if data, err = json.Marshal(body); err != nil {
			return 0, nil, err
		}
	}
	for attempt := 1; ; attempt++ {
		code, answer, err = c.sendOnce(ctx, method, target.String(), contentType, data)
		if err != nil || attempt == maxAttempts || !transient(code, answer) {
			return code, answer, err
		}
		select {
		case <-ctx.Done():
			return 0, nil, ctx.Err()
		case <-time.After(retryInterval):
		}
	}
}

// transient reports whether an answer says that the server is busy, or that the kubelet itself has just written the object.
func transient(code int, answer []byte) bool {
	var s metav1.Status
	if json.Unmarshal(answer, &s) != nil {
		return false
	}
	switch code {
	case http.StatusConflict:
		return s.Reason == metav1.StatusReasonConflict
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return s.Details != nil && s.Details.RetryAfterSeconds > 0
	}
	return false
}

func (c *client) sendOnce(
	ctx context.Context, method, target, contentType string, body []byte,
) (code int, answer []byte, err error) {
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	r, err := http.NewRequestWithContext(ctx, method, target, reader)
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Accept", jsonType)
	if body != nil {
		r.Header.Set("Content-Type", contentType)
	}
	response, err := c.http.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err == nil && len(answer) > maxAnswer {
		err = fmt.Errorf("the answer is larger than %d bytes", maxAnswer)
	}
	return response.StatusCode, answer, err
}

// write sends an attack.
func (c *client) write(ctx context.Context, w *write) (code int, answer []byte, err error) {
	query := url.Values{}
	if w.contentType == applyPatchType {
		query.Set("fieldManager", fieldManager)
		query.Set("force", "true")
	}
	return c.send(ctx, w.method, w.path(), query, w.contentType, w.body)
}

// errNotFound says that an object or its kind does not exist.
var errNotFound = errors.New("not found")

// get reads an object or a list.
func (c *client) get(ctx context.Context, path string, query url.Values) (object, error) {
	code, answer, err := c.send(ctx, http.MethodGet, path, query, "", nil)
	switch {
	case err != nil:
		return nil, err
	case code == http.StatusNotFound:
		return nil, errNotFound
	case code != http.StatusOK:
		return nil, fmt.Errorf("GET %s: %s", path, refusal(code, answer))
	}
	return decode(answer)
}

func (c *client) list(ctx context.Context, path string, query url.Values) ([]any, error) {
	list, err := c.get(ctx, path, query)
	items, _ := list["items"].([]any)
	return items, err
}

// user asks the API server who the user is.
func (c *client) user(ctx context.Context) (authenticationv1.UserInfo, error) {
	var r authenticationv1.SelfSubjectReview
	code, answer, err := c.send(ctx, http.MethodPost, path("selfsubjectreviews.authentication.k8s.io", "", "", ""), nil, jsonType,
		object{"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})
	switch {
	case err != nil:
		return r.Status.UserInfo, err
	case code != http.StatusCreated && code != http.StatusOK:
		return r.Status.UserInfo, errors.New(refusal(code, answer))
	}
	err = json.Unmarshal(answer, &r)
	return r.Status.UserInfo, err
}

// refusal is what an answer says of an error, printable and bounded.
func refusal(code int, answer []byte) string {
	var s metav1.Status
	if json.Unmarshal(answer, &s) != nil || s.Message == "" {
		return fmt.Sprintf("HTTP status %d", code)
	}
	return text.Printable(text.Cut(s.Message, maxDetail))
}

// decode reads an object and leaves its numbers as they are.
func decode(data []byte) (object, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var o object
	err := decoder.Decode(&o)
	return o, err
}

// connection is the user and the kubelet, or the node agent, that the user impersonates, which may be the same.
type connection struct {
	own      *client // of the user; nil: the user is the attacker
	attacker *client
	node     string
	account  string // of the node agent; empty: the attacker is a kubelet
}

// connect returns a connection whose attacker is the node agent or the kubelet of the options or, without either, the user of the
// configuration.
func connect(ctx context.Context, config *rest.Config, o *Options) (*connection, error) {
	switch {
	case o.AsAgent != "":
		return connectAgent(ctx, config, o)
	case o.AsNode != "":
		return connectKubelet(ctx, config, o.AsNode)
	}
	own, err := newClient(config, false)
	if err != nil {
		return nil, err
	}
	user, err := own.user(ctx)
	if err != nil {
		return nil, err
	}
	if id, is := review.KubeletOf(user); is {
		return &connection{attacker: own, node: id.Node}, checkNode(id.Node)
	}
	account, node, is := agentOf(user)
	if !is {
		return nil, fmt.Errorf("the user %s is no kubelet, and no service account with a token that names its node; "+
			"name a node with --as-node, and perhaps a node agent with --as-agent", text.Quote(user.Username))
	}
	if own, err = newClient(config, true); err != nil {
		return nil, err
	}
	return &connection{attacker: own, node: node, account: account}, checkNode(node)
}

// connectKubelet impersonates a kubelet.
func connectKubelet(ctx context.Context, config *rest.Config, node string) (*connection, error) {
	own, err := newClient(config, false)
	if err != nil {
		return nil, err
	}
	kubelet := review.UserOf(node)
	nodes := kubelet.Groups[0]
	var user authenticationv1.UserInfo
	// Permission to impersonate just a node is for requests that name no group; the API server adds it.
	for _, groups := range [][]string{nil, {nodes}} {
		as := rest.CopyConfig(config)
		as.Impersonate = rest.ImpersonationConfig{UserName: kubelet.Username, Groups: groups}
		c, err := newClient(as, false)
		if err != nil {
			return nil, err
		}
		if user, err = c.user(ctx); err == nil && user.Username == kubelet.Username && slices.Contains(user.Groups, nodes) {
			return &connection{own: own, attacker: c, node: node}, nil
		}
		if groups != nil && err != nil {
			return nil, fmt.Errorf("--as-node: %w; --rbac prints the permissions", err)
		}
	}
	return nil, fmt.Errorf("--as-node: the API server takes the user for %s in the groups %s",
		text.Quote(user.Username), text.QuoteAll(user.Groups))
}

// connectAgent impersonates a service account with a token that is bound to a node: the API server takes its groups from its name.
func connectAgent(ctx context.Context, config *rest.Config, o *Options) (*connection, error) {
	own, err := newClient(config, true)
	if err != nil {
		return nil, err
	}
	agent := agentUser(o.AsAgent, o.AsNode)
	as := rest.CopyConfig(config)
	as.Impersonate = rest.ImpersonationConfig{
		UserName: agent.Username, Extra: map[string][]string{review.NodeNameExtra: {o.AsNode}},
	}
	c, err := newClient(as, true)
	if err != nil {
		return nil, err
	}
	user, err := c.user(ctx)
	if err != nil {
		return nil, fmt.Errorf("--as-agent: %w; --rbac prints the permissions", err)
	}
	if account, node, is := agentOf(user); !is || account != o.AsAgent || node != o.AsNode {
		return nil, fmt.Errorf("--as-agent: the API server takes the user for %s on %s", text.Quote(user.Username), text.Quote(node))
	}
	return &connection{own: own, attacker: c, node: o.AsNode, account: o.AsAgent}, nil
}

// read reads what attacks need to know.
func (c *connection) read(ctx context.Context, o *Options) (*state, error) {
	s := &state{node: c.node, account: c.account}
	reader := c.attacker
	if c.account != "" && c.own != nil {
		reader = c.own // a node agent may read nothing at all
	}
	var err error
	if s.own, err = reader.get(ctx, path("nodes", "", "", c.node), nil); err != nil && !errors.Is(err, errNotFound) {
		if c.account == "" {
			return nil, err
		}
		s.own = named("", c.node)
	}
	pods, err := reader.list(ctx, path("pods", "", "", ""), url.Values{
		"fieldSelector": {"spec.nodeName=" + c.node}, "limit": {maxPods},
	})
	if err != nil && c.account == "" {
		return nil, err
	}
	s.setPods(pods)
	if err := c.readOthers(ctx, s, o); err != nil {
		return nil, err
	}
	return s, nil
}

// readOthers finds another Node and a pod of one, as the user: a kubelet may not read them.
func (c *connection) readOthers(ctx context.Context, s *state, o *Options) error {
	if o.OtherNode != "" {
		s.otherObject = named("", o.OtherNode)
	}
	if o.OtherPod != "" {
		namespace, name, _ := strings.Cut(o.OtherPod, "/")
		s.otherPod = mergePatch(named(namespace, name), object{"spec": object{"nodeName": s.node + "-other"}})
	}
	if c.own != nil && s.otherObject == nil {
		nodes, err := c.own.list(ctx, path("nodes", "", "", ""), url.Values{"limit": {"2"}})
		if err != nil {
			return err
		}
		for _, item := range nodes {
			if node, _ := item.(object); textAt(node, "metadata", "name") != s.node {
				s.otherObject = node
				break
			}
		}
	}
	if c.own != nil && s.otherPod == nil {
		pods, err := c.own.list(ctx, path("pods", "", "", ""), url.Values{
			"fieldSelector": {"spec.nodeName!=" + s.node + ",spec.nodeName!="}, "limit": {"1"},
		})
		if err != nil {
			return err
		}
		if len(pods) > 0 {
			s.otherPod, _ = pods[0].(object)
		}
	}
	if s.otherObject == nil {
		s.otherObject = named("", s.node+"-other") // need not exist to be refused
	}
	return nil
}

func named(namespace, name string) object {
	meta := object{"name": name}
	if namespace != "" {
		meta["namespace"] = namespace
	}
	return object{"metadata": meta}
}
