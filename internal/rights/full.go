// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rights

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/text"
)

// discover adds every resource that the API server serves to what is asked, and the verbs that it knows of no resource.
func (l *live) discover(ctx context.Context) {
	served, err := l.client.Discover(ctx)
	if err != nil {
		l.lack(err, "which resources the API server serves is not known, and only the table and RBAC are asked")
		return
	}
	l.served = append(served.Requests, virtualRequests()...)
	if served.More > 0 {
		l.note("the API server serves so many resources that %d requests about them are not asked", served.More)
	}
	for _, group := range served.Stale[:min(len(served.Stale), maxGrants)] {
		l.note("the API server does not know at present which resources the API group %s has; they are not asked", text.Quote(group))
	}
}

// virtualRequests are requests with verbs that no resource serves, but that authorizers are asked about.
func virtualRequests() []authorization.Request {
	const authenticationGroup, certificatesGroup, rbacGroup = "authentication.k8s.io", "certificates.k8s.io", "rbac.authorization.k8s.io"
	return []authorization.Request{
		{Verb: "impersonate", Resource: "users"},
		{Verb: "impersonate", Resource: "groups"},
		{Verb: "impersonate", Resource: "serviceaccounts"},
		{Verb: "impersonate", Group: authenticationGroup, Resource: "uids"},
		{Verb: "impersonate", Group: authenticationGroup, Resource: "userextras"},
		{Verb: "approve", Group: certificatesGroup, Resource: "signers"},
		{Verb: "sign", Group: certificatesGroup, Resource: "signers"},
		{Verb: "attest", Group: certificatesGroup, Resource: "signers"},
		{Verb: "bind", Group: rbacGroup, Resource: "roles"},
		{Verb: "bind", Group: rbacGroup, Resource: "clusterroles"},
		{Verb: "escalate", Group: rbacGroup, Resource: "roles"},
		{Verb: "escalate", Group: rbacGroup, Resource: "clusterroles"},
	}
}

// connectOthers makes connections to ask again, and says if API servers of several versions answer on them.
func (l *live) connectOthers(ctx context.Context, count int) error {
	versions := []string{l.report.ServerVersion}
	for range count {
		other, err := l.client.Another()
		if err != nil {
			return err
		}
		l.others = append(l.others, other)
		if version, _, err := other.Version(ctx); err == nil && !slices.Contains(versions, version) {
			versions = append(versions, version)
		}
	}
	if len(versions) > 1 {
		l.note("API servers of several versions answer: %s", strings.Join(versions, ", "))
	}
	return nil
}

// checkTime returns an error if that many questions cannot be asked before the deadline of the run.
func (l *live) checkTime(ctx context.Context, questions int) error {
	deadline, bounded := ctx.Deadline()
	rate := l.client.Rate()
	needed := time.Duration(float64(questions) / rate * float64(time.Second)).Round(time.Second)
	if bounded && time.Until(deadline) < needed {
		return fmt.Errorf("%d reviews at %g a second take %v, which is longer than --timeout allows; raise --timeout or --qps",
			questions, rate, needed)
	}
	return nil
}

// repeated asks one question on each connection, and returns the answer in the worst class. It says so if answers differ.
func (l *live) repeated(ctx context.Context, q *question) *Right {
	if q.untried {
		return l.classify(q, nil)
	}
	worst := l.answer(ctx, l.client, q)
	allowed, answered := 0, 0
	count := func(r *Right) {
		if r.Allowed == nil {
			return
		}
		answered++
		if *r.Allowed {
			allowed++
		}
	}
	count(worst)
	for _, client := range l.others {
		right := l.answer(ctx, client, q)
		count(right)
		if compare(right, worst) < 0 {
			worst = right
		}
	}
	if allowed > 0 && allowed < answered {
		worst.Inconsistent = true
		worst.Note = strings.TrimPrefix(worst.Note+"; ", "; ") +
			fmt.Sprintf("%d of %d answers allow it: API servers authorize differently", allowed, answered)
	}
	return worst
}
