// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rights

import (
	"context"
	_ "embed" // for the template
	"errors"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/access"
	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/nodeauthorizer"
	"noderestriction.plus/internal/report"
	"noderestriction.plus/internal/text"
)

// AgentsReport is what the service accounts may do whose tokens lie on a node. Its texts are printable and bounded.
type AgentsReport struct {
	command.Envelope
	Node          string     `json:"node"`
	How           string     `json:"how"`
	Server        string     `json:"server,omitempty"`
	ServerVersion string     `json:"serverVersion,omitempty"`
	Started       *time.Time `json:"started,omitempty"`
	Ended         *time.Time `json:"ended,omitempty"`
	// Counts are the accounts by the danger of their worst permission, and with the key none those without a permission.
	Counts map[string]int `json:"counts"`
	// WithoutToken counts the accounts of pods on the node that have no token there.
	WithoutToken int      `json:"withoutToken"`
	Lacking      []Lack   `json:"lacking,omitempty"`
	Notes        []string `json:"notes,omitempty"`
	Items        []*Agent `json:"items"`
	// More counts accounts that are left out, the least dangerous.
	More int `json:"more,omitempty"`

	failOn   string
	nodeName string // as it was given
}

// agentsKind is the kind of the output.
const agentsKind = "RightsAgentsReport"

func newAgentsReport(node, how string, o *Options) *AgentsReport {
	return &AgentsReport{
		Envelope: command.Envelope{APIVersion: command.APIVersion, Kind: agentsKind}, Node: text.Printable(node), How: how,
		failOn: o.FailOn, nodeName: node,
		Notes: []string{
			"permissions that every service account has are left out; kubectl nrp doctor has the check broad-groups for them",
			"only RBAC is considered: whatever else authorizes requests, such as a webhook, may allow more",
		},
		Items: []*Agent{},
	}
}

// LiveAgents reads from an API server which tokens lie on a node, and what they allow.
func LiveAgents(ctx context.Context, client *access.Client, o *Options) (*AgentsReport, error) {
	r := newAgentsReport(o.Node, HowLive, o)
	r.Server, r.Started = text.Printable(client.Server()), moment(o.Now)
	version, minor, err := client.Version(ctx)
	if err != nil {
		return nil, err
	}
	r.ServerVersion = version
	pods, err := client.Pods(ctx, o.Node, maxPods)
	if err != nil {
		return nil, fmt.Errorf("%w; --rbac prints the permissions", err)
	}
	if len(pods) >= maxPods {
		r.Notes = append(r.Notes, fmt.Sprintf("the node has more than %d pods; the others are left out", maxPods))
	}
	snapshot, failures := client.RBAC(ctx)
	for _, err := range failures {
		lacks := (*access.ForbiddenError)(nil)
		if !errors.As(err, &lacks) {
			return nil, err
		}
		r.Lacking = append(r.Lacking, Lack{
			Permission: text.Printable(lacks.Verb + " " + lacks.Resource), Without: "what it gives to accounts is not known",
		})
	}
	table, err := tableOf(minor, o)
	if err != nil {
		return nil, err
	}
	r.set(agentsOn(o.Node, pods, snapshot, table))
	if err := r.readPolicies(ctx, client); err != nil {
		return nil, err
	}
	r.Ended = moment(time.Now())
	return r, nil
}

// readPolicies notes which policies hold the accounts to their node. A cluster without the CRD has none.
func (r *AgentsReport) readPolicies(ctx context.Context, client *access.Client) error {
	policies, err := access.Objects[v1alpha1.NodeRestrictionPolicy](ctx, client, &authorization.Request{
		Verb: "list", Group: v1alpha1.GroupName, Resource: "noderestrictionpolicies",
	}, access.ListOptions{Version: "v1alpha1"})
	lacks := (*access.ForbiddenError)(nil)
	switch {
	case err == nil:
		hold(r.Items, r.nodeName, policies)
	case errors.As(err, &lacks):
		r.Notes = append(r.Notes, "whether policies hold the accounts to their node is not known without the permission to list policies")
	case !errors.Is(err, access.ErrNotFound):
		return err
	}
	return nil
}

func moment(at time.Time) *time.Time {
	at = at.UTC().Truncate(time.Second)
	return &at
}

// tableOf returns the table of a release, or that of the newest known one.
func tableOf(minor int, o *Options) (*nodeauthorizer.Table, error) {
	if o.Minor != 0 {
		minor = o.Minor
	}
	if minor == 0 || minor > nodeauthorizer.Newest {
		minor = nodeauthorizer.Newest
	}
	return nodeauthorizer.New(minor, o.Gates)
}

// offlineAgents says what files say about the tokens on a node.
func offlineAgents(c *cluster, o *Options) (*AgentsReport, error) {
	r := newAgentsReport(o.Node, HowDump, o)
	r.ServerVersion = text.Printable(c.version)
	if len(c.snapshot.ClusterRoleBindings)+len(c.snapshot.RoleBindings) == 0 {
		return nil, errNoBindings(c)
	}
	table, err := tableOf(c.minor, o)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(podNodes(c), func(node string) bool { return node == o.Node }) {
		return nil, fmt.Errorf("the files have no pod of the node %s; write them with --dump and the node, or with kubectl get pods "+
			"--all-namespaces --output=json", text.Quote(o.Node))
	}
	r.set(agentsOn(o.Node, c.pods, &c.snapshot, table))
	hold(r.Items, o.Node, c.policies)
	return r, nil
}

func podNodes(c *cluster) []string {
	var nodes []string
	for i := range c.pods {
		nodes = append(nodes, c.pods[i].Spec.NodeName)
	}
	return nodes
}

// set sets the accounts.
func (r *AgentsReport) set(agents []*Agent, without int) {
	r.Counts, r.WithoutToken = worst(agents), without
	r.Items, r.More = agents[:min(len(agents), maxAgents)], max(0, len(agents)-maxAgents)
	if r.Items == nil {
		r.Items = []*Agent{}
	}
	if without > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("pods there use %s without mounting a token; before Kubernetes 1.33, and without the "+
			"NodeRestriction plugin, the kubelet gets a token for each pod nevertheless", named(without, "further account")))
	}
}

// Err is the error of the command.
func (r *AgentsReport) Err() error {
	critical, high := r.Counts[nodeauthorizer.Critical.String()], 0
	for _, d := range []nodeauthorizer.Danger{nodeauthorizer.Critical, nodeauthorizer.High} {
		high += r.Counts[d.String()]
	}
	switch {
	case r.failOn == failNever:
		return nil
	case r.failOn == failCritical && critical > 0:
		return command.No("%s with a critical permission", named(critical, "account"))
	case r.failOn != failCritical && high > 0:
		return command.No("%s with a critical or high permission", named(high, "account"))
	case len(r.Lacking) > 0:
		return fmt.Errorf("what accounts may do is not all known: the user may not %s", r.Lacking[0].Permission)
	}
	return nil
}

// Write writes the report in a format.
func (r *AgentsReport) Write(w io.Writer, output *command.Output) error {
	if output.String() == formatHTML {
		return r.writeHTML(w)
	}
	return output.Write(w, r, r.WriteText)
}

// head says in a sentence what the report is about.
func (r *AgentsReport) head() string {
	version := ""
	if r.ServerVersion != "" {
		version = ", Kubernetes " + r.ServerVersion
	}
	return fmt.Sprintf("%s: tokens of %s lie there%s, %s", r.Node, named(len(r.Items)+r.More, "service account"), version, r.How)
}

// WriteText writes the report for people. Permissions of low danger are only counted.
func (r *AgentsReport) WriteText(w io.Writer) error {
	var b strings.Builder
	b.WriteString(r.head() + "\nAnyone who controls the node has these tokens, and with them the permissions in the whole cluster.\n")
	for _, a := range r.Items {
		if err := a.writeText(&b); err != nil {
			return err
		}
	}
	b.WriteString("\n")
	if r.More > 0 {
		fmt.Fprintf(&b, "%s left out; -o json has as many as here.\n", named(r.More, "account"))
	}
	for _, lack := range r.Lacking {
		b.WriteString(command.Wrap("Lacking: "+lack.Permission+": "+lack.Without+".", "", textWidth))
	}
	for _, note := range r.Notes {
		b.WriteString(command.Wrap("Note: "+note+".", "", textWidth))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (a *Agent) writeText(b *strings.Builder) error {
	level := a.Danger
	if level == "" {
		level = "no permission of its own"
	}
	fmt.Fprintf(b, "\n%s: %s\n", a.Account, level)
	b.WriteString(command.Wrap("token "+strings.Join(a.Tokens, ", ")+"; in "+a.podNames(), indent, textWidth))
	if len(a.HeldBy) > 0 {
		b.WriteString(command.Wrap("held to its node by "+strings.Join(a.HeldBy, ", "), indent, textWidth))
	}
	if len(a.OtherNodes) > 0 {
		b.WriteString(command.Wrap(otherNodesText+strings.Join(a.OtherNodes, ", "), indent, textWidth))
	}
	if len(a.NotHeldBy) > 0 {
		b.WriteString(command.Wrap("not held by "+strings.Join(a.NotHeldBy, ", "), indent, textWidth))
	}
	var shown []*Right
	low := 0
	for i := range a.Permissions {
		if a.Permissions[i].right.danger == nodeauthorizer.Low {
			low++
			continue
		}
		shown = append(shown, a.Permissions[i].right)
	}
	if len(shown) > 0 {
		if err := writeLines(b, mergeResources(lines(shown))); err != nil {
			return err
		}
	}
	if low > 0 {
		fmt.Fprintf(b, "%s%s of low danger\n", indent, permissions(low))
	}
	if a.More {
		fmt.Fprintf(b, "%smore than %s: the others are left out\n", indent, permissions(maxAgentRights))
	}
	return nil
}

// otherNodesText begins the list of permissions by which a policy that holds the account is evaded.
const otherNodesText = "but can get a token of its own that names another node: "

// podNames names the pods of an account.
func (a *Agent) podNames() string {
	var names []string
	for _, p := range a.Pods {
		name := p.Name
		if p.Owner != "" {
			name += " (" + p.Owner + ")"
		}
		names = append(names, name)
	}
	all := strings.Join(names, ", ")
	if a.MorePods > 0 {
		all += fmt.Sprintf(" and %d more", a.MorePods)
	}
	return all
}

//go:embed agents.html.tmpl
var agentsSource string

// writeHTML writes a page like that of a kubelet.
func (r *AgentsReport) writeHTML(w io.Writer) error {
	t, err := template.New("agents").Funcs(template.FuncMap{
		"clock": func(t *time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") },
		"cause": func(r AgentRight) string { return r.right.cause() },
		"scope": func(r AgentRight) string { return r.right.scope() },
		"join":  func(s []string) string { return strings.Join(s, ", ") },
		"pods":  func(a *Agent) string { return a.podNames() },
		"but":   func() string { return otherNodesText },
	}).Parse(agentsSource)
	if err != nil {
		return err
	}
	return t.Execute(w, struct {
		*AgentsReport
		report.Page
		Head string
	}{r, report.NewPage(pageStyle), r.head()})
}
