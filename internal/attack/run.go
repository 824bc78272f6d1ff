// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package attack

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/rest"

	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/manifest"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

// Options say who attacks, and which policies are in force.
type Options struct {
	// AsNode is the node whose kubelet is impersonated. Empty: the configuration is that of a kubelet, or of a node agent.
	AsNode string
	// AsAgent is the service account, as namespace/name, of the node agent on AsNode that is impersonated. Empty: none.
	AsAgent string
	// OtherNode and OtherPod, as namespace/name, are targets elsewhere. Empty: they are looked up as the user.
	OtherNode, OtherPod string
	// Policies say what must be stopped. Nil: they are read from the cluster as the user, or not known.
	Policies []*manifest.Policy
	// Announce is called before the first attack. Nil: nothing is.
	Announce func(*Report)
}

// Result is the result of one attack.
type Result struct {
	Attack    string `json:"attack"`
	Rule      string `json:"rule,omitempty"`
	Section   string `json:"section,omitempty"` // of a policy
	Does      string `json:"does"`
	Technique string `json:"technique,omitempty"` // in MITRE ATT&CK
	Request   string `json:"request,omitempty"`
	// StoppedBy is here, authorizer, NodeRestriction, admission, API server, VAP, webhook, nobody or not tried.
	StoppedBy string `json:"stoppedBy"`
	Stopper   string `json:"stopper"` // with policy and rules, or the name of the webhook
	// WithoutUs is who stops it without this product, or passes.
	WithoutUs string `json:"withoutUs,omitempty"`
	// Forbidden says that a policy that is known denies it.
	Forbidden bool `json:"forbidden"`
	// Failed says that it was not tried because of an error.
	Failed bool   `json:"failed,omitempty"`
	Note   string `json:"note,omitempty"`
	Detail string `json:"detail,omitempty"` // what the API server said

	by   Stopper
	took time.Duration
}

// missed reports whether a policy forbids the attack, and nobody stopped it.
func (r *Result) missed() bool { return r.Forbidden && r.by == Nobody }

// unnamed reports whether something of ours stopped the attack, such as the floor, without naming a policy. Then WithoutUs is what the
// catalogue says.
func (r *Result) unnamed() bool { return r.by == Here && strings.HasPrefix(r.Stopper, hereTitle) }

// PolicyRef is a policy that says what must be stopped.
type PolicyRef struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"` // of its spec as JSON
}

// Report is what the command prints.
type Report struct {
	command.Envelope
	Offline       bool   `json:"offline"`
	Node          string `json:"node"`
	Account       string `json:"account,omitempty"` // of the node agent, as namespace/name; empty: a kubelet
	Server        string `json:"server,omitempty"`
	ServerVersion string `json:"serverVersion,omitempty"`
	UserAgent     string `json:"userAgent,omitempty"`
	// StockVersion is the release that WithoutUs is about where the answers of the API server do not say it.
	StockVersion  string      `json:"stockVersion"`
	Started       *time.Time  `json:"started,omitempty"`
	Ended         *time.Time  `json:"ended,omitempty"`
	PoliciesKnown bool        `json:"policiesKnown"`
	Policies      []PolicyRef `json:"policies"`
	Items         []Result    `json:"items"`

	files []string // of the policies
}

// run is one run of the catalogue.
type run struct {
	*Report
	set      *policy.Set
	sections map[policy.RuleID]string
}

func newRun(node, account string) *run {
	r := &run{
		Report: &Report{
			Envelope: command.Envelope{APIVersion: command.APIVersion, Kind: "AttackResultList"},
			Node:     node, Account: account, StockVersion: StockVersion, Policies: []PolicyRef{}, Items: []Result{},
		},
		sections: map[policy.RuleID]string{},
	}
	for _, rule := range rules.All() {
		r.sections[rule.ID] = rule.Doc.Spec
	}
	return r
}

func (r *run) setPolicies(policies []*manifest.Policy) error {
	compiled := make([]*policy.Policy, len(policies))
	for i, p := range policies {
		spec, err := json.Marshal(p.Object.Spec)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(spec)
		r.Policies = append(r.Policies, PolicyRef{p.Object.Name, hex.EncodeToString(sum[:])})
		compiled[i] = p.Compiled
	}
	r.set, r.PoliciesKnown = policy.NewSet(compiled...), true
	return nil
}

// catalogue returns the attacks of the run.
func (r *Report) catalogue() []Attack {
	if r.Account != "" {
		return AgentCatalogue()
	}
	return Catalogue()
}

// Offline evaluates the catalogue by policies alone, for a model of a node. The account is that of a node agent, or empty for the kubelet.
func Offline(node, account string, policies []*manifest.Policy) (*Report, error) {
	r := newRun(node, account)
	r.Offline = true
	if err := r.setPolicies(policies); err != nil {
		return nil, err
	}
	for _, a := range r.catalogue() {
		s := model(node, a.ID == "uncordon-own-node")
		if account != "" {
			s = agentModel(node, account)
		}
		result, w, d, err := r.prepare(&a, s)
		if err != nil {
			return nil, err
		}
		if w != nil {
			result.set(&verdict{by: a.Stock})
			result.WithoutUs = without(&verdict{by: a.Stock}, &a)
			if d.Denied() {
				v := &verdict{by: Here, detail: d.Message()}
				v.readRules(v.detail)
				result.set(v)
			}
			result.explain(&d, r.PoliciesKnown)
		}
		r.Items = append(r.Items, result)
	}
	return r.Report, nil
}

// Run sends the catalogue to an API server, each attack as a dry run.
func Run(ctx context.Context, config *rest.Config, o Options) (*Report, error) {
	c, err := connect(ctx, config, &o)
	if err != nil {
		return nil, err
	}
	r := newRun(c.node, c.account)
	r.Server, r.UserAgent = c.attacker.base.Redacted(), UserAgent
	if version, err := c.attacker.get(ctx, versionPath, nil); err == nil {
		r.ServerVersion = text.Printable(text.Cut(textAt(version, "gitVersion"), 64))
	}
	policies := o.Policies
	if policies == nil && c.own != nil {
		if policies, err = c.own.policies(ctx); err != nil {
			return nil, err
		}
	}
	if policies != nil {
		if err := r.setPolicies(policies); err != nil {
			return nil, err
		}
	}
	s, err := c.read(ctx, &o)
	if err != nil {
		return nil, err
	}
	r.Started = now()
	if o.Announce != nil {
		o.Announce(r.Report)
	}
	for _, a := range r.catalogue() {
		result, err := r.try(ctx, c.attacker, &a, s)
		if err != nil {
			return nil, err
		}
		r.Items = append(r.Items, result)
	}
	r.Ended = now()
	return r.Report, nil
}

func now() *time.Time {
	t := time.Now().UTC().Truncate(time.Second)
	return &t
}

// prepare returns the request of an attack, and what policies decide about it; no request, if it cannot be tried.
func (r *run) prepare(a *Attack, s *state) (Result, *write, policy.Decision, error) {
	result := Result{
		Attack: a.ID, Rule: string(a.Rule), Section: r.sections[a.Rule], Does: a.Does, Technique: a.Technique,
	}
	w, reason := a.write(s)
	if w == nil {
		result.set(&verdict{by: NotTried, detail: reason})
		return result, nil, policy.Decision{}, nil
	}
	result.Request = w.title()
	var d policy.Decision
	if r.set != nil {
		facts, err := s.facts()
		if err != nil {
			return result, nil, d, err
		}
		request, err := w.request(s, facts)
		if err != nil {
			return result, nil, d, err
		}
		d = r.set.Evaluate(request)
	}
	result.Forbidden = d.Denied()
	if a.onlyIfForbidden && !result.Forbidden {
		result.set(&verdict{by: NotTried, detail: "no policy that is known forbids it, and a stock kubelet does it, too"})
		return result, nil, d, nil
	}
	return result, w, d, nil
}

// try sends an attack.
func (r *run) try(ctx context.Context, attacker *client, a *Attack, s *state) (Result, error) {
	result, w, d, err := r.prepare(a, s)
	if err != nil || w == nil {
		return result, err
	}
	start := time.Now()
	code, body, err := attacker.write(ctx, w)
	result.took = time.Since(start)
	if ctx.Err() != nil {
		return result, ctx.Err()
	}
	v := &verdict{by: NotTried, failed: true}
	if err != nil {
		v.detail = text.Printable(text.Cut(err.Error(), maxDetail))
	} else {
		answered := verdictOf(s.node, w, code, body)
		v = &answered
	}
	result.set(v)
	result.WithoutUs = without(v, a)
	result.explain(&d, r.PoliciesKnown)
	return result, nil
}

// set sets who stopped the attack.
func (r *Result) set(v *verdict) {
	r.by, r.StoppedBy, r.Stopper, r.Failed, r.Detail = v.by, string(v.by), v.title(), v.failed, v.detail
	if v.by == Nobody {
		r.StoppedBy = "nobody"
	}
}

// explain adds a note about what policies say.
func (r *Result) explain(d *policy.Decision, known bool) {
	switch {
	case r.by == NotTried, !known:
	case r.missed():
		r.Note = "a policy forbids it: " + d.Message()
	case r.by == Nobody && len(d.Violations) > 0:
		r.Note = fmt.Sprintf("policy %s only records it or warns", text.Quote(d.Violations[0].Policy))
	case r.by == Nobody && r.Section != "":
		r.Note = "no policy forbids it with " + r.Section
	case r.Forbidden && r.by != Here:
		v := &verdict{}
		v.readRules(d.Message())
		r.Note = "also forbidden by " + text.Printable(v.policy) + "/" + v.rules
	}
}

// without is who stops an attack without this product. What we stop has passed everybody else, except a policy of the floor, which
// the API server asks among other policies.
func without(v *verdict, a *Attack) string {
	by := *v
	switch {
	case v.by == NotTried:
		return ""
	case v.by == Here && v.name != "" && v.policy == "":
		by = verdict{by: a.Stock}
	case v.by == Here:
		by = verdict{by: Nobody}
	}
	if by.by == Nobody {
		return "passes"
	}
	return by.title()
}

// policies reads the policies in force, as the user. A cluster without the CRD has none.
func (c *client) policies(ctx context.Context) ([]*manifest.Policy, error) {
	items, err := c.list(ctx, path(policiesResource, "", "", ""), nil)
	if errors.Is(err, errNotFound) {
		return []*manifest.Policy{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w; --policy names files with the policies instead", err)
	}
	if len(items) == 0 {
		return []*manifest.Policy{}, nil
	}
	data, err := json.Marshal(object{"apiVersion": "v1", "kind": "List", "items": items})
	if err != nil {
		return nil, err
	}
	f := manifest.Read(bytes.NewReader(data), rules.NewCompiler())
	// A policy with an error is in force in part; the webhook compiles it alike.
	var errs []error
	for _, problem := range f.Errors {
		errs = append(errs, problem)
	}
	return f.Policies, errors.Join(errs...)
}

// checkNode checks a name that becomes part of paths.
func checkNode(name string) error {
	if !matches(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`, name) || strings.Contains(name, "..") {
		return fmt.Errorf("%s is not the name of a Node", text.Quote(name))
	}
	return nil
}

// count returns how many results are of these stoppers.
func (r *Report) count(by ...Stopper) int {
	n := 0
	for i := range r.Items {
		if slices.Contains(by, r.Items[i].by) {
			n++
		}
	}
	return n
}
