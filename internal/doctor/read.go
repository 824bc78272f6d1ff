// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/access"
	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/doctor/checks"
	"noderestriction.plus/internal/program"
	"noderestriction.plus/internal/text"
)

// Options say what to read.
type Options struct {
	// Node is the node about whose kubelet the API server is asked. Empty: the first one.
	Node string
	// Probe allows the dry run.
	Probe bool
	// Kubelets is how many kubelets are asked for their configuration.
	Kubelets int
	// Secrets allows to read the data of bootstrap tokens.
	Secrets bool
	// Skip are the IDs of checks that are not run.
	Skip []string
	// QPS bounds the requests a second.
	QPS float64
}

const (
	// UserAgent is how the command names itself to the API server, before its version.
	UserAgent   = program.Plugin + "-" + commandName
	commandName = "doctor"
	// maxText bounds what is kept of a text of the API server, in bytes.
	maxText = 1024
	// strangerTimeout bounds a request without a credential.
	strangerTimeout = 5 * time.Second
)

// reader reads a snapshot.
type reader struct {
	*checks.Snapshot
	client *access.Client
	config *rest.Config
	o      *Options
}

// Read reads what the checks need of a cluster. It writes nothing. It fails only if it is not known who reads, or if the node
// does not exist; whatever else cannot be read, or not in time, is said in the snapshot.
func Read(ctx context.Context, config *rest.Config, o *Options) (*checks.Snapshot, error) {
	c, err := access.New(config, commandName, o.QPS)
	if err != nil {
		return nil, err
	}
	r := &reader{&checks.Snapshot{Now: time.Now().UTC().Truncate(time.Second)}, c, config, o}
	if err := r.readUser(ctx); err != nil {
		return nil, err
	}
	r.readVersions(ctx)
	r.readObjects(ctx)
	if err := r.chooseNode(); err != nil {
		return nil, err
	}
	r.readInstall(ctx)
	r.readKubeletConfig(ctx)
	r.readTokens(ctx)
	r.readMetrics(ctx)
	r.readAnonymous(ctx)
	r.readAnswers(ctx)
	r.readProbe(ctx)
	r.readKubelets(ctx)
	return r.Snapshot, nil
}

// wants reports whether one of some checks is run.
func (r *reader) wants(ids ...string) bool {
	return slices.ContainsFunc(ids, func(id string) bool { return !slices.Contains(r.o.Skip, id) })
}

func (r *reader) readUser(ctx context.Context) error {
	var err error
	if r.User, err = r.client.WhoAmI(ctx); err != nil {
		return fmt.Errorf("who am I: %w", err)
	}
	return nil
}

// unknown says why a request has no answer.
func unknown(err error, permission authorization.Request) *checks.Unknown {
	if lacks := (*access.ForbiddenError)(nil); errors.As(err, &lacks) {
		return &checks.Unknown{Permissions: []authorization.Request{permission}}
	}
	return &checks.Unknown{Why: text.Printable(text.Cut(permission.String()+": "+err.Error(), maxText))}
}

// list reads all objects of a list. An API that does not exist has none.
func list[T any](ctx context.Context, c *access.Client, permission authorization.Request, o access.ListOptions) checks.Fact[[]T] {
	items, err := access.Objects[T](ctx, c, &permission, o)
	if err != nil && !errors.Is(err, access.ErrNotFound) {
		return checks.Fact[[]T]{Unknown: unknown(err, permission)}
	}
	return checks.Fact[[]T]{Value: items}
}

// readVersions asks several times, because a load balancer may choose another API server each time.
func (r *reader) readVersions(ctx context.Context) {
	const times = 3
	var versions []string
	for range times {
		client, err := r.client.Another()
		version := ""
		if err == nil {
			version, _, err = client.Version(ctx)
		}
		if err != nil {
			r.Versions.Unknown = unknown(err, authorization.Request{Verb: "get", Path: "/version"})
			return
		}
		if !slices.Contains(versions, version) {
			versions = append(versions, version)
		}
	}
	r.Versions.Value = versions
}

func listOf(group, resource string) authorization.Request {
	return authorization.Request{Verb: "list", Group: group, Resource: resource}
}

func read[T any](ctx context.Context, r *reader, into *checks.Fact[[]T], what authorization.Request) {
	*into = list[T](ctx, r.client, what, access.ListOptions{})
}

func (r *reader) readObjects(ctx context.Context) {
	const rbacGroup, admissionGroup = "rbac.authorization.k8s.io", "admissionregistration.k8s.io"
	read(ctx, r, &r.ClusterRoles, listOf(rbacGroup, "clusterroles"))
	read(ctx, r, &r.ClusterRoleBindings, listOf(rbacGroup, "clusterrolebindings"))
	read(ctx, r, &r.Roles, listOf(rbacGroup, "roles"))
	read(ctx, r, &r.RoleBindings, listOf(rbacGroup, "rolebindings"))
	read(ctx, r, &r.Nodes, listOf("", "nodes"))
	read(ctx, r, &r.DaemonSets, listOf("apps", "daemonsets"))
	read(ctx, r, &r.Validating, listOf(admissionGroup, "validatingwebhookconfigurations"))
	read(ctx, r, &r.Mutating, listOf(admissionGroup, "mutatingwebhookconfigurations"))
	read(ctx, r, &r.Floor, listOf(admissionGroup, "validatingadmissionpolicies"))
	read(ctx, r, &r.Bindings, listOf(admissionGroup, "validatingadmissionpolicybindings"))
	r.Policies = list[v1alpha1.NodeRestrictionPolicy](ctx, r.client, listOf(v1alpha1.GroupName, "noderestrictionpolicies"),
		access.ListOptions{Version: "v1alpha1"})
	r.readPods(ctx)
	if r.wants("serving-certificates", "half-identities") {
		read(ctx, r, &r.CSRs, listOf("certificates.k8s.io", "certificatesigningrequests"))
	}
}

func (r *reader) chooseNode() error {
	r.Node = r.o.Node
	nodes := r.Nodes.Value
	switch {
	case r.Nodes.Unknown != nil:
	case r.Node == "" && len(nodes) > 0:
		r.Node = nodes[0].Name
	case r.Node != "" && !slices.ContainsFunc(nodes, func(n corev1.Node) bool { return n.Name == r.Node }):
		return fmt.Errorf("--node: there is no Node %s", text.Quote(r.Node))
	}
	return nil
}

// readInstall reads what is around this product, and Kyverno's configuration if it is there.
func (r *reader) readInstall(ctx context.Context) {
	in := checks.InstallOf(r.Validating.Value)
	if in.Namespace != "" {
		ready := authorization.Request{Verb: "list", Group: "discovery.k8s.io", Resource: "endpointslices", Namespace: in.Namespace}
		r.Endpoints = list[discoveryv1.EndpointSlice](ctx, r.client, ready, access.ListOptions{
			LabelSelector: "kubernetes.io/service-name=" + in.Service,
		})
		read(ctx, r, &r.Deployments, authorization.Request{Verb: "list", Group: "apps", Resource: "deployments", Namespace: in.Namespace})
	}
	for i := range r.Validating.Value {
		for _, w := range r.Validating.Value[i].Webhooks {
			service := w.ClientConfig.Service
			if service == nil || !strings.Contains(service.Name, "kyverno") {
				continue
			}
			permission := authorization.Request{Verb: "get", Resource: "configmaps", Namespace: service.Namespace, Name: "kyverno"}
			data, err := r.readConfigMap(ctx, &permission)
			if err != nil && !errors.Is(err, access.ErrNotFound) {
				r.Kyverno.Unknown = unknown(err, permission)
			}
			r.Kyverno.Value = data["excludeGroups"]
			return
		}
	}
}

func (r *reader) readConfigMap(ctx context.Context, permission *authorization.Request) (map[string]string, error) {
	answer, err := r.client.Get(ctx, permission)
	var m corev1.ConfigMap
	if err == nil {
		err = json.Unmarshal(answer, &m)
	}
	return m.Data, err
}

func (r *reader) readKubeletConfig(ctx context.Context) {
	if !r.wants("kubelet-config") {
		return
	}
	permission := authorization.Request{Verb: "get", Resource: "configmaps", Namespace: "kube-system", Name: "kubelet-config"}
	data, err := r.readConfigMap(ctx, &permission)
	if err != nil && !errors.Is(err, access.ErrNotFound) {
		r.KubeletConfig.Unknown = unknown(err, permission)
	}
	r.KubeletConfig.Value = data["kubelet"]
}

// readTokens reads bootstrap tokens: their metadata or, with --secrets, also when they end. Their secrets are not kept.
func (r *reader) readTokens(ctx context.Context) {
	if !r.wants("bootstrap-tokens") {
		return
	}
	permission := authorization.Request{Verb: "list", Resource: "secrets", Namespace: "kube-system"}
	secrets := list[struct {
		Metadata metav1.ObjectMeta `json:"metadata"`
		Data     struct {
			Expiration string `json:"expiration"`
			Signs      string `json:"usage-bootstrap-authentication"`
		} `json:"data"`
	}](ctx, r.client, permission, access.ListOptions{FieldSelector: "type=bootstrap.kubernetes.io/token", MetadataOnly: !r.o.Secrets})
	r.Tokens.Unknown = secrets.Unknown
	for i := range secrets.Value {
		s := &secrets.Value[i]
		t := checks.Token{Name: s.Metadata.Name, Created: s.Metadata.CreationTimestamp.Time, ContentSet: r.o.Secrets}
		t.Signs = decoded(s.Data.Signs) == "true"
		if at, err := time.Parse(time.RFC3339, decoded(s.Data.Expiration)); err == nil {
			t.Expires = &at
		}
		r.Tokens.Value = append(r.Tokens.Value, t)
	}
}

// decoded returns a value of a Secret.
func decoded(s string) string {
	data, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return ""
	}
	return string(data)
}

func (r *reader) readMetrics(ctx context.Context) {
	if !r.wants("audit") {
		return
	}
	permission := authorization.Request{Verb: "get", Path: "/metrics"}
	answer, err := r.client.Get(ctx, &permission)
	if err != nil {
		r.Metrics.Unknown = unknown(err, permission)
		return
	}
	lines := bufio.NewScanner(bytes.NewReader(answer))
	for lines.Scan() {
		if value, found := strings.CutPrefix(lines.Text(), "apiserver_audit_event_total "); found {
			if events, err := strconv.ParseFloat(strings.TrimSpace(value), 64); err == nil {
				r.Metrics.Value.AuditEvents = &events
			}
		}
	}
	if err := lines.Err(); err != nil {
		r.Metrics.Unknown = unknown(err, permission)
	}
}

func (r *reader) readAnonymous(ctx context.Context) {
	if !r.wants("anonymous") {
		return
	}
	// The client of everything else turns answers into errors, and this is about the status code.
	anonymous := rest.AnonymousClientConfig(r.config)
	base, _, err := rest.DefaultServerUrlFor(anonymous)
	if err == nil {
		r.Anonymous.Value, err = statusOf(ctx, anonymous, base.JoinPath("api"))
	}
	if err != nil {
		r.Anonymous.Unknown = unknown(err, authorization.Request{Verb: "get", Path: "/api"})
	}
}

// readAnswers asks about the kubelet of the node, and about one that does not exist.
func (r *reader) readAnswers(ctx context.Context) {
	if !r.wants("authz-always-allow", "node-authorizer", "node-widened", "deny-authorizer") {
		return
	}
	version := ""
	if len(r.Versions.Value) > 0 {
		version = r.Versions.Value[0]
	}
	nodes := []string{checks.ProbeNode}
	if r.Node != "" {
		nodes = append(nodes, r.Node)
	}
	for _, node := range nodes {
		for _, question := range checks.Questions(version, node) {
			a, err := r.ask(ctx, node, &question)
			if err != nil {
				r.Answers = checks.Fact[[]checks.Answer]{Unknown: unknown(err, authorization.Request{
					Verb: "create", Group: "authorization.k8s.io", Resource: "subjectaccessreviews",
				})}
				return
			}
			r.Answers.Value = append(r.Answers.Value, a)
		}
	}
}

func (r *reader) ask(ctx context.Context, node string, question *authorization.Request) (checks.Answer, error) {
	id := authorization.Kubelet(node)
	answer, err := r.client.Review(ctx, &id, question)
	return checks.Answer{
		Node: node, Request: *question, Allowed: answer.Allowed, Denied: answer.Denied,
		Reason: strings.TrimSpace(answer.Reason + " " + answer.Error),
	}, err
}

// readProbe creates a Node as a kubelet that does not exist, as a dry run.
func (r *reader) readProbe(ctx context.Context) {
	if !r.o.Probe {
		r.NodeProbe.Unknown = &checks.Unknown{Why: "it needs the dry run of --probe"}
		return
	}
	user := authorization.Kubelet(checks.ProbeNode)
	node := map[string]any{"apiVersion": "v1", "kind": "Node", "metadata": map[string]any{"name": checks.ProbeOtherNode}}
	var message string
	// Permission to impersonate just a node is for requests that name no group; the API server adds it.
	for _, groups := range [][]string{nil, {authorization.NodesGroup}} {
		as := rest.CopyConfig(r.config)
		as.Impersonate = rest.ImpersonationConfig{UserName: user.User, Groups: groups}
		c, err := access.New(as, commandName, r.o.QPS)
		if err == nil {
			err = c.DryRunNode(ctx, node)
		}
		lacks := (*access.ForbiddenError)(nil)
		switch {
		case err == nil:
			r.NodeProbe.Value.Code = http.StatusCreated
		case !errors.As(err, &lacks):
			r.NodeProbe.Value.Message = text.Cut(err.Error(), maxText)
		case strings.Contains(lacks.Message, "cannot impersonate"), strings.Contains(lacks.Message, "impersonate-on:"),
			strings.Contains(lacks.Message, `cannot create resource "nodes"`):
			message = lacks.Message
			continue
		default:
			r.NodeProbe.Value = checks.NodeProbe{Code: http.StatusForbidden, Message: lacks.Message}
		}
		return
	}
	if strings.Contains(message, "impersonate") {
		r.NodeProbe.Unknown = &checks.Unknown{Permissions: checks.ProbePermissions(r.Versions.Value)}
		return
	}
	r.NodeProbe.Unknown = &checks.Unknown{Why: "a kubelet may not even create its own Node, see node-authorizer: " + message}
}

// readKubelets asks kubelets for their configuration, and for their pods without a credential.
func (r *reader) readKubelets(ctx context.Context) {
	if r.o.Kubelets == 0 {
		r.Kubelets.Unknown = &checks.Unknown{Why: "it needs --kubelets"}
		return
	}
	if r.Nodes.Unknown != nil {
		r.Kubelets.Unknown = r.Nodes.Unknown
		return
	}
	for i := range min(r.o.Kubelets, len(r.Nodes.Value)) {
		n := &r.Nodes.Value[i]
		k := checks.LiveKubelet{Node: n.Name}
		permission := authorization.Request{Verb: "get", Resource: "nodes", Subresource: "proxy"}
		answer, err := r.client.Get(ctx, &authorization.Request{
			Verb: "get", Resource: "nodes", Name: n.Name, Subresource: "proxy/configz",
		})
		var configz struct {
			Config *checks.KubeletConfig `json:"kubeletconfig"`
		}
		if err == nil {
			err = json.Unmarshal(answer, &configz)
		}
		if err != nil {
			k.Config.Unknown = unknown(err, permission)
		}
		k.Config.Value = configz.Config
		for _, a := range n.Status.Addresses {
			if a.Type == corev1.NodeInternalIP {
				port := n.Status.DaemonEndpoints.KubeletEndpoint.Port
				if port == 0 {
					port = 10250
				}
				k.Stranger = stranger(ctx, "https", a.Address, int(port))
				k.ReadOnly = stranger(ctx, "http", a.Address, 10255)
				break
			}
		}
		r.Kubelets.Value = append(r.Kubelets.Value, k)
	}
}

// statusOf returns the HTTP status code of GET. It reads no body and follows no redirect.
func statusOf(ctx context.Context, config *rest.Config, target *url.URL) (int, error) {
	transport, err := rest.TransportFor(config)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, strangerTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return 0, err
	}
	r.Header.Set("User-Agent", UserAgent+"/"+program.Version())
	response, err := transport.RoundTrip(r)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}

// stranger asks a kubelet for its pods without a credential, and returns the HTTP status code, or 0 without an answer. It reads no body.
func stranger(ctx context.Context, scheme, address string, port int) int {
	// A stranger has no CA, and sends nothing secret.
	config := &rest.Config{TLSClientConfig: rest.TLSClientConfig{Insecure: true}}
	code, err := statusOf(ctx, config, &url.URL{Scheme: scheme, Host: net.JoinHostPort(address, strconv.Itoa(port)), Path: "/pods"})
	if err != nil {
		return 0
	}
	return code
}
