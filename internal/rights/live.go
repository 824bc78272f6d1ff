// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rights

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"golang.org/x/sync/errgroup"

	"noderestriction.plus/internal/access"
	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/nodeauthorizer"
	"noderestriction.plus/internal/text"
)

const (
	// inFlight is how many reviews are asked at the same time.
	inFlight = 4
	// maxPods, maxVolumes and maxOwn bound what is read to find related objects.
	maxPods    = 1000
	maxVolumes = 5000
	maxOwn     = 10
	// maxRuleNamespaces bounds in how many namespaces a kubelet asks for its own rules.
	maxRuleNamespaces = 20
	// unrelatedName is the name of objects that do not exist.
	unrelatedName = "nrp-rights-unrelated"
	// otherSuffix makes the name of a node that does not exist.
	otherSuffix = "-nrp-other"
	// systemNamespace is the namespace about which cells ask.
	systemNamespace = metav1.NamespaceSystem
)

// Options says about whom, and how, an API server is asked.
type Options struct {
	Node     string   // empty: the user is the kubelet itself
	Groups   []string // of the kubelet; empty: those that its certificate has
	Minor    int      // the release of Kubernetes; 0: the API server's own
	Gates    map[nodeauthorizer.Gate]bool
	Accepted *acceptances
	Refused  bool // also report what is refused as intended
	Full     bool // also ask about every resource that the API server serves
	Repeat   int  // how often each question is asked, each time on other connections; at least 1
	FailOn   string
	Now      time.Time
	// Retry is the time between the attempts to ask again for a related object, which the Node authorizer may learn late.
	Retry []time.Duration
}

// live is a run against an API server.
type live struct {
	*analysis
	client *access.Client
	id     authorization.Identity
	self   bool // asks about itself
	report *Report
	retry  []time.Duration
	others []*access.Client // that ask again, on other connections
}

// Live asks an API server what a kubelet may do.
func Live(ctx context.Context, client *access.Client, o *Options) (*Report, error) {
	started := o.Now
	l := &live{
		client: client, self: o.Node == "", retry: o.Retry,
		analysis: &analysis{node: o.Node, links: nodeauthorizer.NewLinks(), accepted: o.Accepted, now: o.Now},
		report: &Report{
			Envelope: command.Envelope{APIVersion: command.APIVersion, Kind: reportKind}, How: HowLive, Server: text.Printable(client.Server()),
			Started: &started, failOn: o.FailOn, Notes: o.Accepted.notes(o.Now),
		},
	}
	if err := l.identify(ctx, o); err != nil {
		return nil, err
	}
	if err := l.chooseTable(ctx, o); err != nil {
		return nil, err
	}
	l.relate(ctx)
	l.readGrants(ctx)
	if o.Full {
		l.discover(ctx)
	}
	if err := l.connectOthers(ctx, o.Repeat-1); err != nil {
		return nil, err
	}
	questions, all := l.questions(&nodeauthorizer.Names{
		Node: l.node, OtherNode: l.node + otherSuffix, Namespace: systemNamespace, Unrelated: unrelatedName, Related: l.links.Examples(),
	})
	if !all {
		l.note("RBAC gives more than %d permissions beyond the table; the others were not asked", maxCandidates)
	}
	if err := l.checkTime(ctx, len(questions)*o.Repeat); err != nil {
		return nil, err
	}
	rights, err := l.ask(ctx, questions)
	if err != nil {
		return nil, err
	}
	ended := time.Now().UTC()
	l.report.Ended = &ended
	l.report.finish(rights, o.Refused)
	return l.report, nil
}

func (l *live) note(format string, args ...any) {
	l.report.Notes = append(l.report.Notes, text.Printable(text.Cut(fmt.Sprintf(format, args...), maxReason)))
}

// lack keeps a permission that is lacking, and reports whether err is about one. Other errors become notes.
func (l *live) lack(err error, without string) {
	if forbidden := (*access.ForbiddenError)(nil); errors.As(err, &forbidden) {
		l.report.Lacking = append(l.report.Lacking, Lack{Permission: forbidden.Verb + " " + forbidden.Resource, Without: without})
		return
	}
	l.note("%s: %v", without, err)
}

// identify finds out who the kubelet is.
func (l *live) identify(ctx context.Context, o *Options) error {
	if !l.self {
		l.id = authorization.Kubelet(o.Node)
		if len(o.Groups) > 0 {
			l.id.Groups = o.Groups
		}
		l.report.Node = o.Node
		l.report.identityTexts(l.id.User, l.id.Groups)
		return nil
	}
	l.report.How = HowSelf
	var err error
	if l.id, err = l.client.WhoAmI(ctx); err != nil {
		return err
	}
	node, is := strings.CutPrefix(l.id.User, authorization.NodeUserPrefix)
	if !is || checkNode(node) != nil {
		return fmt.Errorf("the user %s is no kubelet; name a node", text.Quote(l.id.User))
	}
	l.node, l.report.Node = node, node
	l.report.identityTexts(l.id.User, l.id.Groups)
	if !slices.Contains(l.id.Groups, authorization.NodesGroup) {
		l.note("the user is not in the group %s: the Node authorizer has no opinion on it", authorization.NodesGroup)
	}
	return nil
}

// chooseTable chooses the table of the API server's release.
func (l *live) chooseTable(ctx context.Context, o *Options) error {
	name, minor, err := l.client.Version(ctx)
	switch {
	case err == nil:
		l.report.ServerVersion = name
	case o.Minor == 0:
		l.note("the release of the API server is not known (%v); compared with Kubernetes 1.%d", err, nodeauthorizer.Newest)
		minor = nodeauthorizer.Newest
	}
	if o.Minor != 0 {
		minor = o.Minor
	}
	if minor > nodeauthorizer.Newest {
		l.note("Kubernetes 1.%d is newer than the newest known Node authorizer, that of 1.%d", minor, nodeauthorizer.Newest)
	}
	if l.table, err = nodeauthorizer.New(minor, o.Gates); err != nil {
		return err
	}
	l.report.Table = fmt.Sprintf("1.%d", l.table.Minor)
	return nil
}

// ask asks every question and puts it in a class.
func (l *live) ask(ctx context.Context, questions []question) ([]*Right, error) {
	everything, err := l.review(ctx, l.client, &authorization.Request{
		Verb: "nrp-rights", Group: "nrp-rights.invalid", Resource: "nonsense", Name: unrelatedName,
	})
	if err != nil {
		return l.withoutReviews(questions, err)
	}
	rights := make([]*Right, len(questions))
	workers, workersCtx := errgroup.WithContext(ctx)
	workers.SetLimit(inFlight)
	for i := range questions {
		workers.Go(func() error {
			rights[i] = l.repeated(workersCtx, &questions[i])
			return workersCtx.Err()
		})
	}
	if err := workers.Wait(); err != nil {
		return nil, fmt.Errorf("not every question was answered in time: %w", err)
	}
	l.report.NodeAuthorizer = stateOfNodeAuthorizer(rights, everything.Allowed)
	switch {
	case everything.Allowed:
		l.note("an authorizer allows a verb and a resource that do not exist: everything is allowed, as by the mode AlwaysAllow (reason: %s)",
			text.Quote(text.Cut(everything.Reason, maxReason)))
	case l.report.NodeAuthorizer == nodeOff:
		l.note("nothing is allowed without RBAC: the Node authorizer is off, or the authorizers before it allow all that it intends")
	}
	return rights, nil
}

// withoutReviews is what is known if the user may not ask: what RBAC alone says, or nothing.
func (l *live) withoutReviews(questions []question, err error) ([]*Right, error) {
	if forbidden := (*access.ForbiddenError)(nil); !errors.As(err, &forbidden) || l.grants == nil {
		return nil, fmt.Errorf("the API server cannot be asked: %w; grant the permission create subjectaccessreviews.authorization.k8s.io, "+
			"or use --as-kubelet with a kubelet's kubeconfig", err)
	}
	l.lack(err, "other authorizers than RBAC are not asked; the Node authorizer is assumed to be on")
	l.report.NodeAuthorizer = nodeUnknown
	rights := make([]*Right, len(questions))
	for i := range questions {
		rights[i] = l.classify(&questions[i], nil)
	}
	return rights, nil
}

func (l *live) review(ctx context.Context, client *access.Client, r *authorization.Request) (access.Answer, error) {
	if l.self {
		return client.Review(ctx, nil, r)
	}
	return client.Review(ctx, &l.id, r)
}

// answer asks one question. About a related object it asks again if that is missing, because the Node authorizer learns late of pods.
func (l *live) answer(ctx context.Context, client *access.Client, q *question) *Right {
	for attempt := 0; ; attempt++ {
		said := &answer{}
		said.Answer, said.err = l.review(ctx, client, &q.request)
		right := l.classify(q, said)
		if right.Class != Missing || !isAbout(q.cell, nodeauthorizer.Linked) || attempt == len(l.retry) {
			return right
		}
		select {
		case <-ctx.Done():
			return right
		case <-time.After(l.retry[attempt]):
		}
	}
}

// checkNode checks that a text can be the name of a Node.
func checkNode(name string) error {
	if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
		return fmt.Errorf("%s is not the name of a Node", text.Quote(name))
	}
	return nil
}
